"""How far ahead the daily tables are made."""

from __future__ import annotations

from datetime import UTC, datetime

from telemetry import partitions


def days_made_ahead(now: datetime) -> dict[str, int]:
    """For each partitioned table the days after today that have a partition, without a hole; -1 where even today has none.

    Empty where tables are not partitioned (SQLite).
    """
    if not partitions.supported():
        return {}
    return {table: _days_ahead(partitions.existing(table), now) for table in partitions.PARTITIONED}


def _days_ahead(made: list[partitions.Partition], now: datetime) -> int:
    ahead, day = -1, now.astimezone(UTC).date()
    while any(partition.covers(day) for partition in made):
        ahead, day = ahead + 1, day + partitions.DAY
    return ahead
