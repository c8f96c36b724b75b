"""Uploads, in both generations of the protocol, and what can be read of the telemetry."""

from __future__ import annotations

from sites.api import endpoint
from telemetry.reading_views import LiveView, MinerStatusView, StatsView, StatusView, SummaryView
from telemetry.views import UploadView

urlpatterns = [
    *endpoint("collector/upload", UploadView, name="upload"),
    *endpoint("edge/v1/telemetry/ingest", UploadView, name="telemetry-ingest"),
    *endpoint("edge/v1/telemetry/batch", UploadView, name="telemetry-batch"),
    *endpoint("collector/status", StatusView, name="collector-status"),
    *endpoint("collector/stats", StatsView, name="collector-stats"),
    *endpoint("collector/live/<str:site_id>", LiveView, name="collector-live"),
    *endpoint("collector/summary/<str:site_id>", SummaryView, name="collector-summary"),
    *endpoint("collector/miners/<str:miner_id>/status", MinerStatusView, name="collector-miner-status"),
]
