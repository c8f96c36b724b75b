"""Days of history as a farm leaves them: a reading a minute of each miner, minute after minute, in the partition of its day."""

from __future__ import annotations

from datetime import date, timedelta

READINGS_A_DAY = 24 * 60


def fill(day: date, *, readings: int, hours: int = 24) -> int:
    """Write `readings` of every live miner into `day` (UTC), spread over its first `hours`; returns how many rows that makes.

    One statement a round, as uploads do it, so that pages and index come to lie as in production. Values are those of the live rows.
    """
    from django.db import connection, transaction

    from telemetry import partitions

    names, values = columns_of_history()
    statement = (
        f"INSERT INTO miner_telemetry_history (miner_id, timestamp, {names})"
        f" SELECT miner_id, %s::timestamptz, {values} FROM miner_telemetry_live"
    )
    partitions.ensure_days(partitions.HISTORY, [day])
    start, step, made = partitions.midnight(day) + timedelta(microseconds=7), timedelta(hours=hours) / readings, 0
    for first in range(0, readings, 60):
        with transaction.atomic(), connection.cursor() as cursor:
            for number in range(first, min(first + 60, readings)):
                cursor.execute(statement, [start + number * step])
                made += cursor.rowcount
    settle()
    return made


def columns_of_history() -> tuple[str, str]:
    """Those beside miner and time, and what to take for them from a live row, which has each fan's speed in its detail alone."""
    from telemetry.storage import columns

    names = [name for name in columns.HISTORY if name not in columns.KEY]
    return ", ".join(names), ", ".join("5600" if name == "fan_speed_avg" else name for name in names)


def settle() -> None:
    """What autovacuum and the checkpointer do meanwhile in production."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) miner_telemetry_history")
        cursor.execute("CHECKPOINT")
