"""What miners reported: the newest state of each, and every reading at its own time.

Columns carry the wire's names and units (GH/s, °C, MHz, W, J/TH, seconds, milliseconds). NULL means "not reported", 0 "reported zero".
"""

from __future__ import annotations

from telemetry.models.gaps import CollectorSequence, TelemetryGap
from telemetry.models.history import MinerTelemetryHistory
from telemetry.models.live import LiveQuerySet, MinerTelemetryDetail, MinerTelemetryLive, Source
from telemetry.models.measurements import Measurements
from telemetry.models.polls import MinerPollState, MinerRawReply
from telemetry.models.rollups import (
    MinerRollup,
    MinerRollup1d,
    MinerRollup1h,
    MinerRollup5m,
    Rollup,
    RollupDue,
    SiteRollup,
    SiteRollup1d,
    SiteRollup1h,
    SiteRollup5m,
)
from telemetry.models.summary import SiteSummary
from telemetry.models.uploads import CollectorUploadLog

__all__ = [
    "CollectorSequence",
    "CollectorUploadLog",
    "LiveQuerySet",
    "Measurements",
    "MinerPollState",
    "MinerRawReply",
    "MinerRollup",
    "MinerRollup1d",
    "MinerRollup1h",
    "MinerRollup5m",
    "MinerTelemetryDetail",
    "MinerTelemetryHistory",
    "MinerTelemetryLive",
    "Rollup",
    "RollupDue",
    "SiteRollup",
    "SiteRollup1d",
    "SiteRollup1h",
    "SiteRollup5m",
    "SiteSummary",
    "Source",
    "TelemetryGap",
]
