"""What the schedules call: close what nobody answered, judge what went out."""

from __future__ import annotations

from django.utils import timezone

from commands import dispatch, verification
from resilience.leases import leased_job

JOB_S = 300
"""Longer than the cluster lets a task run."""


@leased_job("expire_commands", ttl_s=JOB_S)
def expire_commands() -> int:
    return dispatch.expire_due(timezone.now())


@leased_job("verify_commands", ttl_s=JOB_S)
def verify_commands() -> dict[str, int]:
    return verification.verify_due(timezone.now())
