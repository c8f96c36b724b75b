"""Daily partitions of the large tables on PostgreSQL: made ahead and on demand, dropped whole. SQLite keeps plain tables.

There is no default partition: with one, PostgreSQL refuses to detach concurrently, and dropping a day would stall every upload.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.utils import OperationalError

HISTORY = "miner_telemetry_history"
MINER_ROLLUP_5M = "miner_rollup_5m"
PARTITIONED = {HISTORY: "timestamp", MINER_ROLLUP_5M: "bucket"}
"""Partitioned tables and the column of time that divides them."""

DAYS_AHEAD = 7
LOCK_TIMEOUT_MS = 2_000
DROP_ATTEMPTS = 6
DAY = timedelta(days=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition; `lower` is None when it has no beginning. `pending` means that its detaching was interrupted."""

    name: str
    lower: datetime | None
    upper: datetime
    pending: bool = False
    attached: bool = True

    def covers(self, day: date) -> bool:
        start = midnight(day)
        return self.attached and not self.pending and (self.lower is None or self.lower <= start) and start < self.upper


def supported() -> bool:
    return connection.vendor == "postgresql"


def midnight(day: date) -> datetime:
    """The beginning of `day` in UTC, which is where partitions begin."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def existing(table: str) -> list[Partition]:
    """The attached partitions of `table`, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), i.inhdetachpending FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(%s)",
            [table],
        )
        found = [_partition(*row) for row in cursor.fetchall()]
    return sorted(found, key=lambda partition: partition.upper)


def _partition(name: str, bounds: str, pending: bool) -> Partition:
    """`bounds` reads FOR VALUES FROM ('2026-03-10 00:00:00+00') TO ('2026-03-11 00:00:00+00'), or MINVALUE in place of the first time."""
    times = [datetime.fromisoformat(text) for text in re.findall(r"'([^']+)'", bounds)]
    return Partition(name=name, lower=times[0] if len(times) == 2 else None, upper=times[-1], pending=pending)


# --- Making them ------------------------------------------------------------------------------------------------------------------


def ensure(now: datetime) -> list[str]:
    """Make the partitions of yesterday, today and the days ahead that are missing; returns the names of those that were made."""
    first = now.astimezone(UTC).date() - DAY
    days = [first + DAY * number for number in range(DAYS_AHEAD + 2)]
    return [name for table in PARTITIONED for name in ensure_days(table, days)]


def ensure_days(table: str, days: Iterable[date]) -> list[str]:
    """Make the partitions of `table` that `days` lack. Safe beside uploads and beside another process that does the same."""
    if not supported():
        return []
    made = []
    for day in sorted(set(days)):
        if not any(partition.covers(day) for partition in existing(table)) and _is_partitioned(table):
            made += _make(table, day)
    if made:
        log.info("partitions_made", table=table, names=made)
    return made


def _make(table: str, day: date) -> list[str]:
    """Made apart and attached, which locks out no upload; a table of that name that was detached but not dropped is attached again."""
    name = f"{table}_{day:%Y%m%d}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS * 3}")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"partitions of {table}"])
        partitions = existing(table)
        if any(partition.covers(day) for partition in partitions):
            return []
        if any(partition.name == name and partition.pending for partition in partitions):
            cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)")
        _add_missing_columns(cursor, table, name)
        bounds = [midnight(day), midnight(day + DAY)]
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")  # the caller's transaction goes on
    return [name]


def _add_missing_columns(cursor: Any, table: str, name: str) -> None:
    """What migrations gave `table` while `name` was detached from it; its rows have none of that."""
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attname NOT IN (SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND NOT attisdropped)",
        [table, name],
    )
    for column, kind in cursor.fetchall():
        cursor.execute(f"ALTER TABLE {name} ADD COLUMN {column} {kind}")


# --- Dropping them ----------------------------------------------------------------------------------------------------------------


def outdated(table: str, before: datetime) -> list[Partition]:
    """Partitions that end at or before `before`, the detached ones that an interrupted run left behind among them."""
    attached = existing(table)
    names = {partition.name for partition in attached}
    left = [partition for partition in _detached(table) if partition.name not in names]
    return [partition for partition in sorted(attached + left, key=lambda item: item.upper) if partition.upper <= before]


def _detached(table: str) -> list[Partition]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND relname ~ %s", [rf"^{table}_\d{{8}}$"])
        names = [name for (name,) in cursor.fetchall()]
    days = [datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC) for name in names]
    return [Partition(name=name, lower=day, upper=day + DAY, attached=False) for name, day in zip(names, days, strict=True)]


def row_count(partition: Partition) -> int:
    """Rows as the last ANALYZE saw them; counted when there was none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", [partition.name])
        row = cursor.fetchone()
        if row and row[0] < 0:
            cursor.execute(f"SELECT count(*) FROM {partition.name}")
            row = cursor.fetchone()
    return int(row[0]) if row else 0


def drop(table: str, partition: Partition) -> None:
    """Remove one partition and give its disk space back. Not inside a transaction.

    Detaching concurrently makes no upload and no reader wait. Killed half way, the next run goes on from there. Raises OperationalError
    when a long reader holds the partition through all attempts.
    """
    for attempt in range(1, DROP_ATTEMPTS + 1):
        try:
            with _session_limits():
                _drop_now(table, partition.name)
            return
        except OperationalError as error:
            log.warning("partition_busy", partition=partition.name, attempt=attempt, error=str(error).strip())
            if attempt == DROP_ATTEMPTS:
                raise
            time.sleep(0.2 * 2**attempt)


def _drop_now(table: str, name: str) -> None:
    state = next((partition for partition in existing(table) if partition.name == name), None)
    with connection.cursor() as cursor:
        if state:
            how = "FINALIZE" if state.pending else "CONCURRENTLY"
            cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} {how}")
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
    log.info("partition_dropped", partition=name)


@contextmanager
def _session_limits() -> Iterator[None]:
    """A short wait for locks, and no limit on the time a concurrent detach waits for readers to end."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@contextmanager
def sole_dropper(table: str) -> Iterator[bool]:
    """Whether this session is the one that drops partitions of `table` now; freed by the server when the process is killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [f"dropping of {table}"])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [f"dropping of {table}"])


# --- From a plain table -----------------------------------------------------------------------------------------------------------


def _is_partitioned(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", [table])
        row = cursor.fetchone()
    return bool(row and row[0] == "p")


def partition_table(table: str, *, now: datetime) -> bool:
    """Turn the plain `table` into a partitioned one; False when it is one already.

    No row is copied: the old table becomes the first partition, up to the midnight after its newest row. It is scanned once, to prove that.
    """
    if not supported() or _is_partitioned(table):
        return False
    column, old = PARTITIONED[table], f"{table}_before"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"SELECT max({column}) FROM {table}")
        newest = cursor.fetchone()[0]
        cursor.execute(f"ALTER TABLE {table} RENAME TO {old}")
        cursor.execute(f"ALTER INDEX {table}_pkey RENAME TO {old}_pkey")
        cursor.execute(
            f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) PARTITION BY RANGE ({column})"
        )
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (miner_id, {column})")
        cursor.execute(f"CREATE INDEX {table}_time ON {table} USING brin ({column}) WITH (pages_per_range = 32)")
        if newest is None:
            cursor.execute(f"DROP TABLE {old}")
        else:
            end = midnight(newest.astimezone(UTC).date() + DAY)
            cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO (%s)", [end])
    log.info("table_partitioned", table=table, kept_rows=newest is not None)
    ensure(now)
    return True
