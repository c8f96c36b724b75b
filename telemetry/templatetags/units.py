"""The display units as template filters: {{ reading.hashrate_ghs|hashrate }}."""

from __future__ import annotations

from django import template

from miners.models import MinerState
from telemetry import units

register = template.Library()
for display in (units.number, units.hashrate, units.power, units.percent, units.temperature, units.duration, units.moment):
    register.filter(display.__name__, display)

register.filter("age", units.ago)


@register.filter
def share(part: float | None) -> str:
    """0.974 as 97 %."""
    return units.percent(None if part is None else part * 100)


@register.filter
def state_label(state: str) -> str:
    return str(MinerState(state).label)
