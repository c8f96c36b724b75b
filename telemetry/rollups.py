"""Readings summed up by five minutes, hour and day, per miner and per site.

Ingest notes each bucket that got readings (`RollupDue`); `roll_up` works the notes off, oldest first. So it is incremental, catches up
after any downtime, corrects what late data changed, and does the same when it runs twice.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from miners.models import Miner
from sites.models import Site
from telemetry import gaps, partitions, rollup_sql, storage, summaries
from telemetry.models import (
    MinerRollup,
    MinerRollup1d,
    MinerRollup1h,
    MinerRollup5m,
    RollupDue,
    SiteRollup,
    SiteRollup1d,
    SiteRollup1h,
    SiteRollup5m,
)

BUDGET_S = 45.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One width of bucket. While a bucket is open its roll-up is renewed every `renewed_every`, and once more when it has closed."""

    name: str
    width: timedelta
    renewed_every: timedelta
    miners: type[MinerRollup]
    sites: type[SiteRollup]

    def bucket_of(self, moment: datetime) -> datetime:
        return moment - (moment - EPOCH) % self.width


FIVE_MINUTES = Resolution(name="5m", width=timedelta(minutes=5), renewed_every=timedelta(0), miners=MinerRollup5m, sites=SiteRollup5m)
HOUR = Resolution(name="1h", width=timedelta(hours=1), renewed_every=timedelta(minutes=5), miners=MinerRollup1h, sites=SiteRollup1h)
DAY = Resolution(name="1d", width=timedelta(days=1), renewed_every=timedelta(hours=1), miners=MinerRollup1d, sites=SiteRollup1d)
RESOLUTIONS = (FIVE_MINUTES, HOUR, DAY)
COARSER = {FIVE_MINUTES: HOUR, HOUR: DAY}
FINER = {HOUR: FIVE_MINUTES, DAY: HOUR}


@dataclass(slots=True)
class RollupReport:
    """Buckets rolled up, one a site and resolution; `left` are still due because the time was over."""

    buckets: int = 0
    left: int = 0


# --- What is due ------------------------------------------------------------------------------------------------------------------


def note_due(resolution: Resolution, site_id: int, buckets: Iterable[datetime], *, due_at: datetime) -> None:
    """Note, in the caller's transaction, that `buckets` of the site changed. In order, so that two transactions cannot wait crosswise."""
    rows = [(resolution.name, site_id, _param(bucket), _param(due_at)) for bucket in sorted(buckets)]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO rollup_due (resolution, site_id, bucket, version, due_at) VALUES (%s, %s, %s, 1, %s)"
                " ON CONFLICT (resolution, site_id, bucket) DO UPDATE SET version = rollup_due.version + 1,"
                " due_at = CASE WHEN excluded.due_at < rollup_due.due_at THEN excluded.due_at ELSE rollup_due.due_at END",
                rows,
            )


def buckets_of(moments: Collection[datetime]) -> set[datetime]:
    """The buckets of five minutes that `moments` lie in."""
    first, last = FIVE_MINUTES.bucket_of(min(moments)), FIVE_MINUTES.bucket_of(max(moments))
    return {first} if first == last else {FIVE_MINUTES.bucket_of(moment) for moment in moments}


def roll_up(now: datetime, *, budget_s: float = BUDGET_S) -> RollupReport:
    """Bring every due roll-up up to `now`; what `budget_s` does not suffice for is left to the next run. Safe to run twice at once."""
    report = RollupReport()
    deadline = time.monotonic() + budget_s
    for resolution in RESOLUTIONS:
        due = list(RollupDue.objects.filter(resolution=resolution.name, due_at__lte=now).order_by("bucket", "site_id"))
        intervals = dict(Site.objects.filter(pk__in={item.site_id for item in due}).values_list("pk", "interval_seconds"))
        for item in due:
            if time.monotonic() > deadline:
                report.left += 1
                continue
            _roll_up_bucket(resolution, item, interval_s=intervals[item.site_id], now=now)
            report.buckets += 1
    summaries.refresh_all(now)
    log.info("rolled_up", buckets=report.buckets, left=report.left)
    return report


# --- One bucket -------------------------------------------------------------------------------------------------------------------


def _roll_up_bucket(resolution: Resolution, due: RollupDue, *, interval_s: int, now: datetime) -> None:
    """The version is older than what is read here, so readings that arrive meanwhile leave the bucket due."""
    end = due.bucket + resolution.width
    elapsed = min(end, now) - due.bucket
    with transaction.atomic():
        storage.current().take_turns(f"roll-up of site {due.site_id}")
        partitions.ensure_days(resolution.miners._meta.db_table, [due.bucket.date()])
        _write(resolution, due, elapsed=elapsed, interval_s=interval_s)
        if resolution is FIVE_MINUTES:
            gaps.note_late(due.site_id, due.bucket, end)
        if coarser := COARSER.get(resolution):
            bucket = coarser.bucket_of(due.bucket)
            renewal = max(now, min(bucket + coarser.width, now + coarser.renewed_every))
            note_due(coarser, due.site_id, [bucket], due_at=renewal)
        _settle(resolution, due, end=end, now=now)


def _write(resolution: Resolution, due: RollupDue, *, elapsed: timedelta, interval_s: int) -> None:
    finer = FINER.get(resolution)
    miners, sites = resolution.miners._meta.db_table, resolution.sites._meta.db_table
    params = {
        "site": due.site_id,
        "bucket": _param(due.bucket),
        "end": _param(due.bucket + resolution.width),
        "expected": max(1, int(elapsed.total_seconds() // interval_s)),
        "miners": Miner.objects.filter(site_id=due.site_id, is_enabled=True).count(),
        "parts": max(1, -(-elapsed // finer.width)) if finer else 1,
    }
    with connection.cursor() as cursor:
        if finer:
            cursor.execute(rollup_sql.miners_from_finer(miners, finer.miners._meta.db_table), params)
            cursor.execute(rollup_sql.site_from_finer(sites, finer.sites._meta.db_table), params)
        else:
            cursor.execute(rollup_sql.miners_from_readings(miners), params)
            cursor.execute(rollup_sql.site_from_miners(sites, miners), params)


def _settle(resolution: Resolution, due: RollupDue, *, end: datetime, now: datetime) -> None:
    row = RollupDue.objects.filter(resolution=resolution.name, site_id=due.site_id, bucket=due.bucket)
    if end <= now:
        row.filter(version=due.version).delete()
    else:
        row.update(due_at=min(end, now + resolution.renewed_every))


def _param(moment: datetime) -> Any:
    """A time as raw SQL of either database takes it."""
    return connection.ops.adapt_datetimefield_value(moment)
