"""Where sites and miners stand now, as the API tells it: what was last reported, taken together with how long ago that was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, DateTimeField, DurationField, ExpressionWrapper, F, Max, Q, Sum, Value

from miners.models import Miner
from sites.models import Site, SiteQuerySet
from telemetry.models import MinerTelemetryLive

STALE_INTERVALS = 3

Totals = dict[str, Any]


def site_totals(sites: SiteQuerySet, *, now: datetime) -> list[Totals]:
    """One row a site, by code: two grouped queries however many sites and miners there are."""
    counts = dict(Miner.objects.filter(site__in=sites, is_enabled=True).order_by().values_list("site").annotate(Count("pk")))
    measured = {row.pop("site"): row for row in _measured(sites, now=now)}
    return [_totals(site, counts.get(site.pk, 0), measured.get(site.pk)) for site in sites.order_by("code")]


def _measured(sites: SiteQuerySet, *, now: datetime) -> Any:
    patience = ExpressionWrapper(F("site__interval_seconds") * timedelta(seconds=STALE_INTERVALS), output_field=DurationField())
    silent = Q(timestamp__lt=ExpressionWrapper(Value(now) - patience, output_field=DateTimeField()))
    online = ~silent & Q(online=True)
    live = MinerTelemetryLive.objects.filter(site__in=sites, miner__is_enabled=True).order_by().values("site")
    return live.annotate(
        seen=Count("pk"),
        online_count=Count("pk", filter=online),
        offline=Count("pk", filter=~silent & Q(online=False)),
        stale=Count("pk", filter=silent),
        hashrate_ghs=Sum("hashrate_ghs", filter=online),
        hashrate_expected_ghs=Sum("hashrate_expected_ghs", filter=online),
        power_consumption=Sum("power_consumption", filter=online),
        temperature_avg=Avg("temperature_avg", filter=online),
        temperature_max=Max("temperature_max", filter=online),
        newest_reading_at=Max("timestamp"),
    )


def _totals(site: Site, miners: int, measured: Totals | None) -> Totals:
    measured = measured or {}
    return {
        "site_id": site.code,
        "site_name": site.name,
        "miners_total": miners,
        "online": measured.get("online_count", 0),
        "offline": measured.get("offline", 0),
        "stale": measured.get("stale", 0),
        "never_seen": miners - measured.get("seen", 0),
        **{
            name: measured.get(name)
            for name in (
                "hashrate_ghs",
                "hashrate_expected_ghs",
                "power_consumption",
                "temperature_avg",
                "temperature_max",
                "newest_reading_at",
            )
        },
    }


def status_of(live: MinerTelemetryLive, *, interval_seconds: int, now: datetime) -> str:
    """ "online", "offline" or "stale" (nothing heard for three intervals)."""
    if now - live.timestamp > timedelta(seconds=STALE_INTERVALS * interval_seconds):
        return "stale"
    return "online" if live.online else "offline"
