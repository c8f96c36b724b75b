"""The roll-ups' statements, the same on PostgreSQL and SQLite. A new metric is named in `ADDED_UP` or `SIDE_BY_SIDE` and in the models.

Parameters: site, bucket (its beginning), end, expected (readings a miner owes so far), miners (enabled ones of the site), parts (finer
buckets that have begun).
"""

from __future__ import annotations

from collections.abc import Sequence

ADDED_UP = ("hashrate_ghs", "power_consumption")
"""Metrics whose site value is the sum over its miners."""
SIDE_BY_SIDE = ("temperature_max",)
"""Metrics whose site value is their average and extremes."""
METRICS = ADDED_UP + SIDE_BY_SIDE
PARTS = ("min", "avg", "max", "last")

COUNTS = ("samples", "expected", "online_samples")
MINER_COLUMNS = ("miner_id", "bucket", *COUNTS, *(f"{metric}_{part}" for metric in METRICS for part in PARTS))
SITE_COLUMNS = ("site_id", "bucket", *COUNTS, "miners", "miners_online", *MINER_COLUMNS[2 + len(COUNTS) :])

# A miner that reports more often than it owes must not make up for one that is silent.
_EXPECTED = "CASE WHEN {samples} > %(expected)s THEN {samples} ELSE %(expected)s END"


def miners_from_readings(table: str) -> str:
    values = [value for metric in METRICS for value in _spread(f"r.{metric}", average=f"avg(r.{metric})")]
    columns = ", ".join(f"h.{metric}" for metric in METRICS)
    return _upsert(
        table,
        MINER_COLUMNS,
        "SELECT r.miner_id, %(bucket)s, count(*), "
        + _EXPECTED.format(samples="count(*)")
        + f", sum(CASE WHEN r.online THEN 1 ELSE 0 END), {', '.join(values)} FROM ("
        f"SELECT h.miner_id, h.online, {columns}, row_number() OVER (PARTITION BY h.miner_id ORDER BY h.timestamp DESC) AS newest"
        " FROM miners_miner m JOIN miner_telemetry_history h ON h.miner_id = m.id"
        " WHERE m.site_id = %(site)s AND h.timestamp >= %(bucket)s AND h.timestamp < %(end)s) r GROUP BY r.miner_id",
    )


def miners_from_finer(table: str, finer: str) -> str:
    values = [value for metric in METRICS for value in _spread_of_spreads(metric, average=_weighted(metric))]
    return _upsert(
        table,
        MINER_COLUMNS,
        "SELECT r.miner_id, %(bucket)s, sum(r.samples), "
        + _EXPECTED.format(samples="sum(r.samples)")
        + f", sum(r.online_samples), {', '.join(values)} FROM ("
        "SELECT f.*, row_number() OVER (PARTITION BY f.miner_id ORDER BY f.bucket DESC) AS newest"
        f" FROM miners_miner m JOIN {finer} f ON f.miner_id = m.id"
        " WHERE m.site_id = %(site)s AND f.bucket >= %(bucket)s AND f.bucket < %(end)s) r GROUP BY r.miner_id",
    )


def site_from_miners(table: str, miners: str) -> str:
    added = [f"sum(r.{metric}_{part})" for metric in ADDED_UP for part in PARTS]
    beside = [f"{how}(r.{metric}_{part})" for metric in SIDE_BY_SIDE for part, how in zip(PARTS, ("min", "avg", "max", "max"), strict=True)]
    return _upsert(
        table,
        SITE_COLUMNS,
        "SELECT m.site_id, %(bucket)s, sum(r.samples),"
        " sum(r.expected) + CASE WHEN %(miners)s > count(*) THEN (%(miners)s - count(*)) * %(expected)s ELSE 0 END,"
        " sum(r.online_samples), count(*), sum(CASE WHEN r.online_samples > 0 THEN 1 ELSE 0 END),"
        f" {', '.join(added + beside)} FROM miners_miner m JOIN {miners} r ON r.miner_id = m.id"
        " WHERE m.site_id = %(site)s AND m.is_enabled AND r.bucket = %(bucket)s GROUP BY m.site_id",
    )


def site_from_finer(table: str, finer: str) -> str:
    values = [value for metric in METRICS for value in _spread_of_spreads(metric, average=f"avg(r.{metric}_avg)")]
    return _upsert(
        table,
        SITE_COLUMNS,
        "SELECT r.site_id, %(bucket)s, sum(r.samples), CAST(round(avg(r.expected) * %(parts)s) AS integer), sum(r.online_samples),"
        f" max(r.miners), avg(r.miners_online), {', '.join(values)} FROM ("
        f"SELECT f.*, row_number() OVER (ORDER BY f.bucket DESC) AS newest FROM {finer} f"
        " WHERE f.site_id = %(site)s AND f.bucket >= %(bucket)s AND f.bucket < %(end)s) r GROUP BY r.site_id",
    )


def _spread(column: str, *, average: str) -> list[str]:
    return [f"min({column})", average, f"max({column})", f"max(CASE WHEN r.newest = 1 THEN {column} END)"]


def _spread_of_spreads(metric: str, *, average: str) -> list[str]:
    column = f"r.{metric}"
    return [f"min({column}_min)", average, f"max({column}_max)", f"max(CASE WHEN r.newest = 1 THEN {column}_last END)"]


def _weighted(metric: str) -> str:
    """The average of averages by how many online readings each stands for."""
    known = f"CASE WHEN r.{metric}_avg IS NOT NULL THEN r.online_samples END"
    return f"sum(r.{metric}_avg * r.online_samples) / nullif(sum({known}), 0)"


def _upsert(table: str, columns: Sequence[str], select: str) -> str:
    """History only grows until it is pruned, so a roll-up of fewer readings than before comes from pruned ones and is not taken."""
    moves = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) {select}"
        f" ON CONFLICT ({columns[0]}, bucket) DO UPDATE SET {moves} WHERE excluded.samples >= {table}.samples"
    )
