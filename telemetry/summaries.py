"""One row a site that says what its miners' newest readings add up to."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db.models import Avg, Count, Max, Q, Sum
from django.db.models.functions import Coalesce

from miners.models import STALE_INTERVALS, Miner
from sites.models import Site
from telemetry.models import SiteSummary

EFFORT = 50
"""A summary is not renewed by ingest before this many times its own cost has passed: at most 2 % of the time goes into it."""


def measure(site: Site, now: datetime) -> SiteSummary:
    """Add up the live rows of `site` as they stand at `now`.

    Hash rate and power are those of miners that answer, online or sleeping; expected is what every enabled miner that does not sleep says
    it should do, else its nameplate. Power that hashing miners do not report is added up apart, by nameplate. A miner that was reported
    unreachable is offline however long ago that was.
    """
    started = time.perf_counter()
    heard = Q(live__online=True, live__timestamp__gte=now - timedelta(seconds=STALE_INTERVALS * site.interval_seconds))
    asleep = Q(live__mining_state="sleeping")
    awake = heard & ~asleep
    hashing = Q(live__hashrate_ghs__gt=0)
    measured = Q(live__power_consumption__isnull=False)
    values = Miner.objects.filter(site=site, is_enabled=True).aggregate(
        miners_total=Count("pk"),
        online=Count("pk", filter=awake),
        sleeping=Count("pk", filter=heard & asleep),
        offline=Count("pk", filter=Q(live__online=False)),
        stale=Count("pk", filter=Q(live__online=True) & ~heard),
        never_seen=Count("pk", filter=Q(live__isnull=True)),
        mining=Count("pk", filter=awake & Q(live__mining_state="mining")),
        healthy=Count("pk", filter=awake & Q(live__overall_health="healthy")),
        degraded=Count("pk", filter=awake & Q(live__overall_health="degraded")),
        critical=Count("pk", filter=awake & Q(live__overall_health="critical")),
        hashrate_ghs=Sum("live__hashrate_ghs", filter=heard),
        hashrate_expected_ghs=Sum(Coalesce("live__hashrate_expected_ghs", "model__hashrate_ghs"), filter=~(heard & asleep)),
        power_consumption=Sum("live__power_consumption", filter=heard),
        power_nameplate=Sum("model__power_consumption", filter=awake & hashing & ~measured),
        powered_hashrate_ghs=Sum("live__hashrate_ghs", filter=heard & (measured | Q(model__isnull=False))),
        temperature_avg=Avg("live__temperature_max", filter=heard),
        temperature_max=Max("live__temperature_max", filter=heard),
        newest_reading_at=Max("live__timestamp"),
    )
    return SiteSummary(site=site, computed_at=now, behind=False, cost_ms=(time.perf_counter() - started) * 1000, **values)


def refresh(site: Site, now: datetime) -> None:
    """Keep what `measure` finds."""
    names = [field.name for field in SiteSummary._meta.concrete_fields if not field.primary_key]
    SiteSummary.objects.bulk_create([measure(site, now)], update_conflicts=True, unique_fields=["site"], update_fields=names)


def refresh_when_due(site: Site, now: datetime) -> None:
    """Renew the summary, or note that it is behind when that was done a moment ago for what it costs.

    Inside the transaction that changed the live rows.
    """
    known = SiteSummary.objects.filter(site=site).only("computed_at", "cost_ms", "behind").first()
    if known is None or is_due(known, now):
        refresh(site, now)
    elif not known.behind:
        SiteSummary.objects.filter(site=site).update(behind=True)


def is_due(summary: SiteSummary, now: datetime) -> bool:
    """Whether the time since the summary was made is worth what it takes to make another."""
    at = summary.computed_at
    return at is None or not timedelta(0) <= now - at < timedelta(milliseconds=EFFORT * summary.cost_ms)


def refresh_all(now: datetime) -> None:
    """Renew every active site's summary, so that silence shows."""
    for site in Site.objects.active():
        refresh(site, now)
