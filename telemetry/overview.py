"""Where sites and miners stand now, as the API tells it: what was last reported, taken together with how long ago that was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Max, Q, Sum

from miners.models import Miner
from sites.models import Site, SiteQuerySet
from telemetry.models import STALE_INTERVALS, MinerTelemetryLive, Status, status_expression

Totals = dict[str, Any]
MEASURED = ("hashrate_ghs", "hashrate_expected_ghs", "power_consumption", "temperature_avg", "temperature_max", "newest_reading_at")


def site_totals(sites: SiteQuerySet, *, now: datetime) -> list[Totals]:
    """One row a site, by code: one grouped query however many sites and miners there are."""
    measured = {row.pop("site"): row for row in _measured(sites, now=now)}
    return [_totals(site, measured.get(site.pk, {})) for site in sites.order_by("code")]


def _measured(sites: SiteQuerySet, *, now: datetime) -> Any:
    miners = Miner.objects.filter(site__in=sites, is_enabled=True).annotate(status=status_expression(now, live="live__"))
    online = Q(status=Status.ONLINE)
    return (
        miners.order_by()
        .values("site")
        .annotate(
            miners_total=Count("pk"),
            **{status.value: Count("pk", filter=Q(status=status)) for status in Status},
            hashrate_ghs=Sum("live__hashrate_ghs", filter=online),
            hashrate_expected_ghs=Sum("live__hashrate_expected_ghs", filter=online),
            power_consumption=Sum("live__power_consumption", filter=online),
            temperature_avg=Avg("live__temperature_avg", filter=online),
            temperature_max=Max("live__temperature_max", filter=online),
            newest_reading_at=Max("live__timestamp"),
        )
    )


def _totals(site: Site, measured: Totals) -> Totals:
    counts = {name: measured.get(name, 0) for name in ("miners_total", *Status.values)}
    return {"site_id": site.code, "site_name": site.name, **counts, **{name: measured.get(name) for name in MEASURED}}


def status_of(live: MinerTelemetryLive, *, interval_seconds: int, now: datetime) -> Status:
    """What `status_expression` says, of a row that is in memory."""
    if now - live.timestamp > timedelta(seconds=STALE_INTERVALS * interval_seconds):
        return Status.STALE
    return Status.ONLINE if live.online else Status.OFFLINE
