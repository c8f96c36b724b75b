"""Alerts, for agents and for whatever else staff connect."""

from __future__ import annotations

from alerts.views import AlertsView
from sites.api import endpoint

urlpatterns = [
    *endpoint("collector/alerts", AlertsView, name="collector-alerts"),
]
