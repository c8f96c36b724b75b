"""The roll-ups' statements, the same on PostgreSQL and SQLite. A new metric is named in `ADDED_UP` or `SIDE_BY_SIDE` and in the models.

Parameters: site, bucket (its beginning), end, expected (readings a miner owes so far), miners (enabled ones of the site), parts (finer
buckets that have begun).
"""

from __future__ import annotations

from collections.abc import Sequence

SPREAD = ("min", "avg", "max", "last")
ADDED_UP = {"hashrate_ghs": SPREAD, "power_consumption": SPREAD, "hashrate_expected_ghs": ("avg",)}
"""Metrics whose site value is the sum over its miners, and what is kept of each."""
SIDE_BY_SIDE = {"temperature_max": SPREAD, "fan_speed_avg": ("avg",)}
"""Metrics whose site value is their average and extremes."""
METRICS = ADDED_UP | SIDE_BY_SIDE

COUNTS = ("samples", "expected", "online_samples")
VALUES = tuple(f"{metric}_{part}" for metric, parts in METRICS.items() for part in parts)
MINER_COLUMNS = ("miner_id", "bucket", *COUNTS, *VALUES)
SITE_COLUMNS = ("site_id", "bucket", *COUNTS, "miners", "miners_online", *VALUES)

# A miner that reports more often than it owes must not make up for one that is silent.
_EXPECTED = "CASE WHEN {samples} > %(expected)s THEN {samples} ELSE %(expected)s END"


def miners_from_readings(table: str) -> str:
    values = [_of_readings(metric, part) for metric, parts in METRICS.items() for part in parts]
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
    values = [_of_buckets(metric, part, average=_weighted(metric)) for metric, parts in METRICS.items() for part in parts]
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
    added = [f"sum(r.{metric}_{part})" for metric, parts in ADDED_UP.items() for part in parts]
    extremes = {"min": "min", "avg": "avg", "max": "max", "last": "max"}
    beside = [f"{extremes[part]}(r.{metric}_{part})" for metric, parts in SIDE_BY_SIDE.items() for part in parts]
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
    values = [_of_buckets(metric, part, average=f"avg(r.{metric}_avg)") for metric, parts in METRICS.items() for part in parts]
    return _upsert(
        table,
        SITE_COLUMNS,
        "SELECT r.site_id, %(bucket)s, sum(r.samples), CAST(round(avg(r.expected) * %(parts)s) AS integer), sum(r.online_samples),"
        f" max(r.miners), avg(r.miners_online), {', '.join(values)} FROM ("
        f"SELECT f.*, row_number() OVER (ORDER BY f.bucket DESC) AS newest FROM {finer} f"
        " WHERE f.site_id = %(site)s AND f.bucket >= %(bucket)s AND f.bucket < %(end)s) r GROUP BY r.site_id",
    )


def _of_readings(metric: str, part: str) -> str:
    return f"max(CASE WHEN r.newest = 1 THEN r.{metric} END)" if part == "last" else f"{part}(r.{metric})"


def _of_buckets(metric: str, part: str, *, average: str) -> str:
    column = f"r.{metric}_{part}"
    if part == "avg":
        return average
    return f"max(CASE WHEN r.newest = 1 THEN {column} END)" if part == "last" else f"{part}({column})"


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
