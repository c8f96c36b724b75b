"""What the background cluster runs for alerts: each task calls one function and returns one line for the task list."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from alerts import delivery, evaluation, notification
from resilience.leases import leased_job

NOTIFY_S = 150
"""Longer than a round may take, shorter than the claim on what it sends."""

EVALUATE_S = 300
"""Longer than the cluster lets a task run."""


@leased_job("evaluate_alerts", ttl_s=EVALUATE_S)
def evaluate() -> str:
    """Each minute, after the roll-ups: what every rule says of the farm, and what becomes of its alerts; then people are told."""
    report = evaluation.evaluate(timezone.now())
    if report.events:
        notify()
    return str(report)


@leased_job("notify", ttl_s=NOTIFY_S)
def notify() -> str:
    """Each minute, and after each evaluation: tell people what is new."""
    return notification.notify(now=timezone.now())


@leased_job("prune_deliveries", ttl_s=300)
def prune_deliveries() -> str:
    """Nightly: forget old deliveries."""
    count = delivery.prune(now=timezone.now(), days=settings.RETENTION_DELIVERY_DAYS)
    return f"removed {count} deliveries"
