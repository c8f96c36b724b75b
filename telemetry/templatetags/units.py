"""The display units as template filters: {{ reading.hashrate_ghs|hashrate }}."""

from __future__ import annotations

from django import template

from telemetry import units

register = template.Library()
for display in (units.number, units.hashrate, units.power, units.percent, units.temperature, units.duration, units.age):
    register.filter(display.__name__, display)
