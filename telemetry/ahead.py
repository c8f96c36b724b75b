"""Live rows move only forward in time. One from a clock that ran ahead would stand still until its time has come."""

from __future__ import annotations

from datetime import datetime

from telemetry.ingest import AHEAD_LIMIT
from telemetry.models import MinerTelemetryDetail, MinerTelemetryLive


def bring_back(now: datetime) -> int:
    """Live readings of a time that can't be yet become those of `now`, so that the next ones replace them; how many. History stays."""
    limit = now + AHEAD_LIMIT
    MinerTelemetryDetail.objects.filter(timestamp__gt=limit).update(timestamp=now)
    MinerTelemetryLive.objects.filter(last_online_at__gt=limit).update(last_online_at=now)
    return MinerTelemetryLive.objects.filter(timestamp__gt=limit).update(timestamp=now, received_at=now)
