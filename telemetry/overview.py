"""Where sites and miners stand now, as the API tells it: what was last reported, taken together with how long ago that was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from miners.models import STALE_INTERVALS
from sites.models import Site
from telemetry.models import MinerTelemetryLive
from telemetry.series import SiteStatistics, site_statistics

STATUSES = ("online", "sleeping", "offline", "stale")
SAME_NAME = tuple(name for name in SiteStatistics.__slots__ if name not in {"site_id", "miners", "never"})


def live_key(site_pk: int) -> str:
    """What the pages of a site's live rows are remembered under; whoever writes live rows forgets it."""
    return f"telemetry:live:{site_pk}"


def summary_key(site_pk: int) -> str:
    """What the totals of one site are remembered under; forgotten together with its live rows."""
    return f"telemetry:summary:{site_pk}"


def site_totals(sites: Iterable[Site], *, now: datetime) -> list[dict[str, Any]]:
    """One row a site, by code."""
    ordered = sorted(sites, key=lambda site: site.code)
    statistics = site_statistics(ordered, now=now)
    return [_totals(site, statistics[site.pk]) for site in ordered]


def _totals(site: Site, found: SiteStatistics) -> dict[str, Any]:
    named = {"site_id": site.code, "site_name": site.name, "miners_total": found.miners, "never_seen": found.never}
    return {**named, **{name: getattr(found, name) for name in SAME_NAME}}


def status_of(live: MinerTelemetryLive, *, interval_seconds: int, now: datetime) -> str:
    """One of STATUSES, counted as in the totals: who was reported unreachable is offline; who was well and fell silent is stale."""
    if not live.online:
        return "offline"
    if now - live.timestamp > timedelta(seconds=STALE_INTERVALS * interval_seconds):
        return "stale"
    return "sleeping" if live.mining_state == "sleeping" else "online"
