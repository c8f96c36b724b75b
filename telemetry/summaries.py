"""One row a site that says what its miners' newest readings add up to."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import connection

from miners.models import STALE_INTERVALS
from sites.models import Site
from telemetry.models import SiteSummary

EFFORT = 50
"""A summary is not renewed by ingest before this many times its own cost has passed: at most 2 % of the time goes into it."""


# Without a limit both databases would merge this into the sums and work each flag out anew for every one of them.
_MINERS = """
    SELECT live.miner_id, live.online, live.timestamp, live.mining_state, live.overall_health, live.hashrate_ghs,
        live.hashrate_expected_ghs, live.power_consumption, live.temperature_max,
        model.hashrate_ghs AS model_hashrate_ghs, model.power_consumption AS model_power, model.id AS model_id,
        coalesce(live.online AND live.timestamp >= %(heard_since)s, false) AS heard,
        coalesce(live.mining_state = 'sleeping', false) AS asleep
    FROM miners_miner AS miner
    LEFT JOIN miner_telemetry_live AS live ON live.miner_id = miner.id{within}
    LEFT JOIN miners_minermodel AS model ON model.id = miner.model_id
    WHERE miner.site_id = %(site)s AND miner.is_enabled
    LIMIT 1000000000"""

# Without it PostgreSQL reads the live rows of all sites. `+ 0` keeps it from looking for the first one in the order of keys.
_WITHIN = """
        AND live.miner_id >= (SELECT min(id + 0) FROM miners_miner WHERE site_id = %(site)s)
        AND live.miner_id <= (SELECT max(id + 0) FROM miners_miner WHERE site_id = %(site)s)"""

_SUMMARY = """
    SELECT %(site)s AS site_id, count(*) AS miners_total,
        count(*) FILTER (WHERE heard AND NOT asleep) AS online,
        count(*) FILTER (WHERE heard AND asleep) AS sleeping,
        count(*) FILTER (WHERE NOT online) AS offline,
        count(*) FILTER (WHERE online AND NOT heard) AS stale,
        count(*) FILTER (WHERE miner_id IS NULL) AS never_seen,
        count(*) FILTER (WHERE heard AND mining_state = 'mining') AS mining,
        count(*) FILTER (WHERE heard AND NOT asleep AND overall_health = 'healthy') AS healthy,
        count(*) FILTER (WHERE heard AND NOT asleep AND overall_health = 'degraded') AS degraded,
        count(*) FILTER (WHERE heard AND NOT asleep AND overall_health = 'critical') AS critical,
        sum(hashrate_ghs) FILTER (WHERE heard) AS hashrate_ghs,
        sum(coalesce(hashrate_expected_ghs, model_hashrate_ghs)) FILTER (WHERE NOT (heard AND asleep)) AS hashrate_expected_ghs,
        sum(power_consumption) FILTER (WHERE heard) AS power_consumption,
        sum(model_power) FILTER (WHERE heard AND NOT asleep AND hashrate_ghs > 0 AND power_consumption IS NULL) AS power_nameplate,
        sum(hashrate_ghs) FILTER (
            WHERE heard AND (power_consumption IS NOT NULL OR model_id IS NOT NULL)
        ) AS powered_hashrate_ghs,
        avg(temperature_max) FILTER (WHERE heard) AS temperature_avg,
        max(temperature_max) FILTER (WHERE heard) AS temperature_max,
        max(timestamp) AS newest_reading_at
    FROM ({miners}) AS miners"""
"""Written out: Django takes as long to put such a query together as the database takes to answer it."""


def measure(site: Site, now: datetime) -> SiteSummary:
    """Add up the live rows of `site` as they stand at `now`.

    Hash rate and power are those of miners that answer, online or sleeping; expected is what every enabled miner that does not sleep says
    it should do, else its nameplate. Power that hashing miners do not report is added up apart, by nameplate. A miner that was reported
    unreachable is offline however long ago that was.
    """
    started = time.perf_counter()
    heard_since = now - timedelta(seconds=STALE_INTERVALS * site.interval_seconds)
    params = {"site": site.pk, "heard_since": connection.ops.adapt_datetimefield_value(heard_since)}
    miners = _MINERS.format(within=_WITHIN if connection.vendor == "postgresql" else "")
    (summary,) = SiteSummary.objects.raw(_SUMMARY.format(miners=miners), params)
    summary.computed_at, summary.behind = now, False
    summary.cost_ms = (time.perf_counter() - started) * 1000
    return summary


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
