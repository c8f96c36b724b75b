"""What charts and totals are drawn from: roll-ups of a miner, a site or a farm by time, and where each site stands now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Max, Sum

from miners.models import Miner
from sites.models import Site
from telemetry import summaries
from telemetry.models import MinerTelemetryHistory, SiteSummary
from telemetry.rollups import DAY, EPOCH, FIVE_MINUTES, HOUR, Resolution

LONGEST_AT = ((timedelta(days=2), FIVE_MINUTES), (timedelta(days=32), HOUR))
"""The longest span that is drawn at each resolution: at most about 770 points. Longer ones are drawn by the day."""

LONGEST_RAW = timedelta(hours=2)
BELIEVED_FOR = timedelta(minutes=3)
"""A summary is renewed every minute; an older one means that nothing renews it, and the live rows are asked instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatistics:
    """Where one site stands, by the words of `SiteSummary`. GH/s and W; None where no miner reports the value.

    `power_nameplate` is added for hashing miners that report no power; `powered_hashrate_ghs` is what all miners of known power hash.
    """

    site_id: int
    miners: int = 0
    online: int = 0
    sleeping: int = 0
    offline: int = 0
    stale: int = 0
    never: int = 0
    mining: int = 0
    healthy: int = 0
    degraded: int = 0
    critical: int = 0
    hashrate_ghs: float | None = None
    hashrate_expected_ghs: float | None = None
    power_consumption: float | None = None
    power_nameplate: float | None = None
    powered_hashrate_ghs: float | None = None
    temperature_avg: float | None = None
    temperature_max: float | None = None
    newest_reading_at: datetime | None = None


def site_statistics(sites: Iterable[Site], *, now: datetime) -> dict[int, SiteStatistics]:
    """The statistics of each site by its primary key: one query for all of them, and one more for each whose summary is out of date."""
    wanted = {site.pk: site for site in sites}
    summary = {row.site_id: row for row in SiteSummary.objects.filter(site__in=wanted)}
    for pk, site in wanted.items():
        row = summary.get(pk)
        if row is None or _is_out_of_date(row, now):
            summary[pk] = summaries.measure(site, now)
    return {pk: _statistics(summary[pk]) for pk in wanted}


def _is_out_of_date(row: SiteSummary, now: datetime) -> bool:
    # The last uploads of a burst are not added up at once; nobody should wait for the next minute to see them.
    return row.computed_at is None or abs(now - row.computed_at) > BELIEVED_FOR or (row.behind and summaries.is_due(row, now))


def _statistics(row: SiteSummary) -> SiteStatistics:
    same = {name: getattr(row, name) for name in SiteStatistics.__slots__ if name not in {"miners", "never"}}
    return SiteStatistics(miners=row.miners_total, never=row.never_seen, **same)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One bucket of time that begins at `timestamp`. Averages, with what they ranged over; for a site, sums over its miners.

    `temperature_max` is the hottest. No value beside `samples` means that the miner did not measure: it was off or unreachable.
    """

    timestamp: datetime
    samples: int
    expected: int
    online_samples: int
    hashrate_ghs: float | None
    hashrate_ghs_min: float | None
    hashrate_ghs_max: float | None
    hashrate_ghs_last: float | None
    hashrate_expected_ghs: float | None
    temperature_max: float | None
    temperature_avg: float | None
    power_consumption: float | None
    fan_speed_avg: float | None = None

    @property
    def coverage(self) -> float:
        """The share of the readings that should be there, 0 to 1."""
        return self.samples / self.expected if self.expected else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points `step` apart; a bucket without any reading has none, and counts as missing in `coverage` (0 to 1, None: nothing was due)."""

    step: timedelta
    points: list[Point]
    coverage: float | None


def resolution_for(span: timedelta) -> Resolution:
    return next((resolution for longest, resolution in LONGEST_AT if span <= longest), DAY)


def miner_series(miner: Miner, *, start: datetime, end: datetime) -> Series:
    """Up to two hours reading by reading, longer spans from the roll-ups."""
    if end - start <= LONGEST_RAW and miner.site.interval_seconds < FIVE_MINUTES.width.total_seconds():
        return _readings(miner, start=start, end=end)
    return _series("miner_id", [miner.pk], start=start, end=end)


def site_series(site: Site, *, start: datetime, end: datetime) -> Series:
    return _series("site_id", [site.pk], start=start, end=end)


def farm_series(sites: Iterable[Site], *, start: datetime, end: datetime) -> Series:
    """Several sites as one."""
    return _series("site_id", [site.pk for site in sites], start=start, end=end)


def _series(key: str, keys: Sequence[int], *, start: datetime, end: datetime) -> Series:
    resolution = resolution_for(end - start)
    table = resolution.miners if key == "miner_id" else resolution.sites
    first = resolution.bucket_of(start)
    rows = (
        table._default_manager.filter(**{f"{key}__in": keys}, bucket__gte=first, bucket__lt=end)
        .order_by("bucket")
        .values_list("bucket")
        .annotate(*[how(column) for how, column in _COLUMNS])
    )
    points = [Point(**dict(zip(_FIELDS, row, strict=True))) for row in rows]
    return Series(step=resolution.width, points=points, coverage=_coverage(points, buckets=-(-(end - first) // resolution.width)))


_COLUMNS = (
    (Sum, "samples"),
    (Sum, "expected"),
    (Sum, "online_samples"),
    (Sum, "hashrate_ghs_avg"),
    (Sum, "hashrate_ghs_min"),
    (Sum, "hashrate_ghs_max"),
    (Sum, "hashrate_ghs_last"),
    (Sum, "hashrate_expected_ghs_avg"),
    (Max, "temperature_max_max"),
    (Avg, "temperature_max_avg"),
    (Sum, "power_consumption_avg"),
    (Avg, "fan_speed_avg_avg"),
)
"""How several sites are taken together, in the order of a point's fields."""
_FIELDS = Point.__dataclass_fields__


def _coverage(points: Sequence[Point], *, buckets: int) -> float | None:
    """A bucket without a point owes as many readings as the others do on average."""
    if not points:
        return 0.0 if buckets else None
    samples, expected = sum(point.samples for point in points), sum(point.expected for point in points)
    owed = expected + (buckets - len(points)) * expected / len(points)
    return samples / owed if owed else None


def _readings(miner: Miner, *, start: datetime, end: datetime) -> Series:
    """The readings themselves, for spans in which five minutes are too coarse."""
    step = timedelta(seconds=miner.site.interval_seconds)
    rows = MinerTelemetryHistory.objects.filter(miner_id=miner.pk, timestamp__gte=start, timestamp__lt=end).order_by("timestamp")
    points = {_floor(row.timestamp, step): _point_of(row, _floor(row.timestamp, step)) for row in rows}
    return Series(step=step, points=list(points.values()), coverage=_coverage(list(points.values()), buckets=-(-(end - start) // step)))


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - EPOCH) % step


def _point_of(row: MinerTelemetryHistory, timestamp: datetime) -> Point:
    return Point(
        timestamp=timestamp,
        samples=1,
        expected=1,
        online_samples=int(row.online),
        hashrate_ghs=row.hashrate_ghs,
        hashrate_ghs_min=row.hashrate_ghs,
        hashrate_ghs_max=row.hashrate_ghs,
        hashrate_ghs_last=row.hashrate_ghs,
        hashrate_expected_ghs=row.hashrate_expected_ghs,
        temperature_max=row.temperature_max,
        temperature_avg=row.temperature_avg,
        power_consumption=row.power_consumption,
        fan_speed_avg=row.fan_speed_avg,
    )
