"""What charts and totals are drawn from: readings of a miner or a site by time, and where each site stands now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Q, Sum

from miners.models import Miner, MinerState
from sites.models import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatistics:
    """Where one site stands. Hash rates in GH/s, power in W; None where no miner reports the value.

    Hash rate and power are those of the miners that are online or sleeping now; what is expected counts every enabled miner that is not
    sleeping, by what it says it should do, else by its nameplate.
    """

    site_id: int
    miners: int = 0
    online: int = 0
    sleeping: int = 0
    offline: int = 0
    stale: int = 0
    never: int = 0
    hashrate_ghs: float | None = None
    hashrate_expected_ghs: float | None = None
    power_consumption: float | None = None
    newest_reading_at: datetime | None = None


def site_statistics(sites: Iterable[Site], *, now: datetime) -> dict[int, SiteStatistics]:
    """The statistics of each site by its primary key, in one grouped query."""
    site_ids = [site.pk for site in sites]
    measured = Q(state__in=[MinerState.ONLINE, MinerState.SLEEPING])
    rows = (
        Miner.objects.filter(site_id__in=site_ids, is_enabled=True)
        .with_state(now)
        .with_expectation()
        .order_by()
        .values("site_id")
        .annotate(
            miners=Count("pk"),
            **{state.value: Count("pk", filter=Q(state=state)) for state in MinerState if state != MinerState.DISABLED},
            hashrate_ghs=Sum("live__hashrate_ghs", filter=measured),
            hashrate_expected_ghs=Sum("expected_ghs", filter=~Q(state=MinerState.SLEEPING)),
            power_consumption=Sum("live__power_consumption", filter=measured),
            newest_reading_at=Max("live__timestamp"),
        )
    )
    found = {row["site_id"]: SiteStatistics(**row) for row in rows}
    return {pk: found.get(pk) or SiteStatistics(site_id=pk) for pk in site_ids}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Readings of one bucket of time, begun at `timestamp`: averages (the hottest for temperatures), summed over the miners of a site."""

    timestamp: datetime
    hashrate_ghs: float | None
    hashrate_expected_ghs: float | None
    temperature_max: float | None
    power_consumption: float | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points `step` apart; a bucket without readings has no point."""

    step: timedelta
    points: list[Point]


STEPS = ((timedelta(hours=2), timedelta(minutes=1)), (timedelta(hours=48), timedelta(minutes=5)), (timedelta(days=14), timedelta(hours=1)))


def _step(span: timedelta) -> timedelta:
    return next((step for longest, step in STEPS if span <= longest), timedelta(days=1))


def farm_series(sites: Iterable[Site], *, start: datetime, end: datetime) -> Series:
    """Several sites as one."""
    keys = [site.pk for site in sites]
    return _series("m.site_id", keys, start=start, end=end)


def site_series(site: Site, *, start: datetime, end: datetime) -> Series:
    return _series("m.site_id", [site.pk], start=start, end=end)


def miner_series(miner: Miner, *, start: datetime, end: datetime) -> Series:
    return _series("m.id", [miner.pk], start=start, end=end)


def _series(column: str, keys: list[int], *, start: datetime, end: datetime) -> Series:
    step = _step(end - start)
    if not keys:
        return Series(step=step, points=[])
    places = ", ".join(["%s"] * len(keys))
    seconds = int(step.total_seconds())
    epoch = (
        "CAST(strftime('%%s', h.timestamp) AS INTEGER)"
        if connection.vendor == "sqlite"
        else "CAST(extract(epoch FROM h.timestamp) AS bigint)"
    )
    statement = f"""
        SELECT bucket, SUM(hashrate), SUM(expected), MAX(hottest), SUM(power), SUM(samples) FROM (
            SELECT h.miner_id, {epoch} / {seconds} * {seconds} AS bucket, AVG(h.hashrate_ghs) AS hashrate,
                   AVG(h.hashrate_expected_ghs) AS expected, MAX(h.temperature_max) AS hottest, AVG(h.power_consumption) AS power,
                   COUNT(*) AS samples
            FROM miner_telemetry_history h JOIN miners_miner m ON m.id = h.miner_id
            WHERE {column} IN ({places}) AND h.timestamp >= %s AND h.timestamp < %s GROUP BY 1, 2) AS each
        GROUP BY bucket ORDER BY bucket"""
    with connection.cursor() as cursor:
        cursor.execute(statement, [*keys, start, end])
        rows = cursor.fetchall()
    return Series(step=step, points=[_point(row) for row in rows])


def _point(row: tuple[Any, ...]) -> Point:
    bucket, hashrate, expected, hottest, power, samples = row
    return Point(
        timestamp=datetime.fromtimestamp(bucket, tz=UTC),
        hashrate_ghs=hashrate,
        hashrate_expected_ghs=expected,
        temperature_max=hottest,
        power_consumption=power,
        samples=int(samples),
    )
