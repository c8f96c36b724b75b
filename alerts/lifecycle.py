"""What people do to an alert: acknowledge, comment, close, silence. Each writes its event, which is what others are told of."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from django.db import transaction
from django.db.models import Q

from alerts.models import Alert, AlertEvent, Condition, Silence

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = structlog.get_logger(__name__)

TEXT_LIMIT = 500
REASON_LIMIT = 255


class AlertOver(Exception):
    """The alert was resolved meanwhile; nothing can be done to it but comment."""


@transaction.atomic
def acknowledge(alert: Alert, *, by: AbstractBaseUser | None, note: str = "", now: datetime) -> Alert:
    """Somebody takes care of it: nobody else is called. Acknowledging it again changes nothing but the timeline. Raises AlertOver."""
    alert = _locked(alert)
    if alert.state == Alert.State.OPEN:
        alert.state, alert.acknowledged_at, alert.acknowledged_by_id = Alert.State.ACKNOWLEDGED, now, _key(by)
        alert.changed_at = now
        alert.save(update_fields=["state", "acknowledged_at", "acknowledged_by", "changed_at"])
    elif not note:
        return alert
    _tell(alert, AlertEvent.Kind.ACKNOWLEDGED, by=by, text=note, now=now)
    return alert


def comment(alert: Alert, *, by: AbstractBaseUser | None, text: str, now: datetime) -> AlertEvent:
    """A remark on the timeline, whatever state the alert is in."""
    return _tell(alert, AlertEvent.Kind.COMMENTED, by=by, text=text, now=now)


@transaction.atomic
def resolve_by_hand(alert: Alert, *, by: AbstractBaseUser | None, note: str = "", now: datetime) -> Alert:
    """Close the alert although its condition may still hold; what holds is not raised again before it was good once. Raises AlertOver."""
    alert = _locked(alert)
    members = alert.members.filter(left_at=None)
    subjects = Q(miner__in=members.values("miner"))
    if alert.scope in (Alert.Scope.SITE, Alert.Scope.SYSTEM):
        subjects |= Q(miner=None, site=alert.site_id, key=alert.scope_key)
    Condition.objects.filter(subjects, rule=alert.rule_id).update(is_dismissed=True)
    members.update(left_at=now)
    alert.state, alert.resolved_at, alert.changed_at, alert.member_count = Alert.State.RESOLVED, now, now, 0
    alert.save(update_fields=["state", "resolved_at", "changed_at", "member_count"])
    _tell(alert, AlertEvent.Kind.RESOLVED, by=by, text=note, now=now)
    return alert


@transaction.atomic
def silence_for(alert: Alert, *, until: datetime, by: AbstractBaseUser | None, reason: str, now: datetime) -> Silence:
    """Have nobody told, until then, of what the alert's rule says of the same miner, rack, zone or site. Raises AlertOver.

    A subnet or a pool has no silence of its own: the alert's site is silenced for the rule.
    """
    alert = _locked(alert)
    silence = Silence.objects.create(
        rule_id=alert.rule_id,
        starts_at=now,
        ends_at=until,
        reason=reason[:REASON_LIMIT],
        created_by_id=_key(by),
        **_place(alert),
    )
    alert.is_silenced = True
    alert.save(update_fields=["is_silenced"])
    _tell(alert, AlertEvent.Kind.COMMENTED, by=by, text=reason, now=now, silenced_until=until.isoformat())
    return silence


def _place(alert: Alert) -> dict[str, object]:
    """Where a silence for the alert holds, by the fields of `Silence`."""
    if alert.scope == Alert.Scope.MINER:
        return {"site_id": alert.site_id, "miner_id": alert.miner_id}
    if alert.scope == Alert.Scope.RACK:
        zone, _, rack = alert.scope_key.rpartition("/")
        return {"site_id": alert.site_id, "zone": zone, "rack": rack}
    if alert.scope == Alert.Scope.ZONE:
        return {"site_id": alert.site_id, "zone": alert.scope_key}
    return {"site_id": alert.site_id}


def _locked(alert: Alert) -> Alert:
    """The alert as it is now, held against the evaluation and other people until the transaction ends."""
    alert = Alert.objects.select_for_update(of=("self",)).select_related("rule", "site").get(pk=alert.pk)
    if alert.resolved_at is not None:
        raise AlertOver(f"The alert was resolved at {alert.resolved_at:%Y-%m-%d %H:%M} UTC.")
    return alert


def _tell(alert: Alert, kind: AlertEvent.Kind, *, by: AbstractBaseUser | None, text: str, now: datetime, **details: object) -> AlertEvent:
    event = AlertEvent.objects.create(alert=alert, at=now, kind=kind, by_id=_key(by), text=text[:TEXT_LIMIT], details=details)
    log.info("alert_changed", alert=alert.pk, change=str(kind), by=by.get_username() if by else "")
    return event


def _key(by: AbstractBaseUser | None) -> int | None:
    return by.pk if by else None
