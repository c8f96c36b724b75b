"""Who else is told when nobody acknowledges an alert."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Subquery

from alerts.models import Alert, AlertEvent, Delivery, EscalationStep
from alerts.models.channels import severities_from
from alerts.routing import BEGINNING, Route, routes

ALERTS_AT_ONCE = 500

log = structlog.get_logger(__name__)


def escalate(*, now: datetime) -> int:
    """Pass on what is open, told of, and not acknowledged for as long as each step says; how many alerts were passed on.

    An alert goes through each step once, and again if it comes back. Its time begins when it was told: a silence does not use it up.
    """
    known = {route.channel.pk: route for route in routes()}
    steps = EscalationStep.objects.filter(is_enabled=True, channel__in=known).select_related("channel")
    return sum(
        _pass_on(alert, step, known[step.channel_id], now=now) for step in steps for alert in _due(step, known[step.channel_id], now=now)
    )


def _due(step: EscalationStep, route: Route, *, now: datetime) -> list[Alert]:
    began = AlertEvent.objects.filter(alert=OuterRef("pk"), kind__in=BEGINNING).order_by("-pk")
    passed_on = AlertEvent.objects.filter(
        alert=OuterRef("pk"), kind=AlertEvent.Kind.ESCALATED, details__step=step.pk, at__gte=OuterRef("told_at")
    )
    alerts = (
        Alert.objects.filter(state=Alert.State.OPEN, is_silenced=False, severity__in=severities_from(step.minimum_severity))
        .annotate(told_at=Subquery(began.values("routed_at")[:1]))
        .filter(told_at__lte=now - timedelta(minutes=step.after_minutes))
        .exclude(Exists(passed_on))
    )
    if route.sites:
        alerts = alerts.filter(site__in=route.sites)
    return list(alerts.order_by("pk")[:ALERTS_AT_ONCE])


@transaction.atomic
def _pass_on(alert: Alert, step: EscalationStep, route: Route, *, now: datetime) -> int:
    """1, or 0 when somebody acknowledged it this very moment."""
    if not Alert.objects.select_for_update().filter(pk=alert.pk, state=Alert.State.OPEN).exists():
        return 0
    details = {"step": step.pk, "after_minutes": step.after_minutes, "channel": step.channel.name}
    event = AlertEvent.objects.create(alert=alert, at=now, kind=AlertEvent.Kind.ESCALATED, details=details, routed_at=now)
    Delivery.objects.bulk_create(route.deliveries(event, now=now))
    log.info("alert_escalated", alert=alert.pk, step=step.pk, after_minutes=step.after_minutes, channel=step.channel.name)
    return 1
