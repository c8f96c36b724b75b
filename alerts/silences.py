"""Which alerts a silence is about."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.models import Alert, Silence


def covers(alert: Alert, silences: Iterable[Silence]) -> bool:
    """Whether one of `silences` takes in all that the alert is about: a rack's silence quiets the rack's alert, not the zone's."""
    return any(_covers(silence, alert) for silence in silences if not silence.is_maintenance)


def _covers(silence: Silence, alert: Alert) -> bool:
    if silence.rule_id not in (None, alert.rule_id) or silence.site_id not in (None, alert.site_id):
        return False
    if silence.miner_id:
        return silence.miner_id == alert.miner_id
    if not silence.zone and not silence.rack:
        return True
    zone, rack = _place_of(alert)
    return silence.zone in ("", zone) and silence.rack in ("", rack)


def _place_of(alert: Alert) -> tuple[str, str]:
    """Zone and rack within which all of the alert lies; "" where it may reach beyond."""
    if alert.scope == Alert.Scope.MINER and alert.miner:
        return alert.miner.zone, alert.miner.rack
    if alert.scope == Alert.Scope.RACK:
        zone, _, rack = alert.scope_key.rpartition("/")
        return zone, rack
    return (alert.scope_key, "") if alert.scope == Alert.Scope.ZONE else ("", "")
