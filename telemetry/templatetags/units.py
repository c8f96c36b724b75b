"""The display units as template filters: {{ reading.hashrate_ghs|hashrate }}."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from miners.models import MinerState
from telemetry import units

register = template.Library()
for display in (units.number, units.hashrate, units.power, units.percent, units.temperature, units.duration, units.moment):
    register.filter(display.__name__, display)


register.filter("utc", units.moment)  # the name it had


@register.filter
def age(at: datetime | None, now: datetime | None = None) -> SafeString | str:
    """How long ago, in words; in UTC when the mouse rests on it."""
    return units.with_utc(at, units.age(at, now)) if at else units.age(None)


@register.filter
def share(part: float | None) -> str:
    """0.974 as 97 %."""
    return units.percent(None if part is None else part * 100)


@register.filter
def state_label(state: str) -> str:
    return str(MinerState(state).label)
