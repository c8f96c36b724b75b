"""The display units as template filters: {{ reading.hashrate_ghs|hashrate }}."""

from __future__ import annotations

from datetime import datetime

from django import template

from miners.models import MinerState
from telemetry import units

register = template.Library()
for display in (units.number, units.hashrate, units.power, units.percent, units.temperature, units.duration, units.age):
    register.filter(display.__name__, display)


@register.filter
def utc(moment: datetime) -> str:
    """A moment as it is stored, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


@register.filter
def state_label(state: str) -> str:
    return str(MinerState(state).label)
