"""Upserts by `executemany`: SQLite has no round trips to save, only statements to prepare once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any

from django.db import IntegrityError, connection

from telemetry.storage import columns
from telemetry.storage.base import Batch, Stored

KEYS_A_QUERY = 5_000

_history = itemgetter(*[columns.ROW.index(name) for name in columns.HISTORY])
_live = itemgetter(*[columns.ROW.index(name) for name in columns.LIVE])
_detail = itemgetter(*[columns.ROW.index(name) for name in columns.DETAIL])


class SqliteStorage:
    def stored_time(self, moment: datetime) -> str:
        """The form in which Django stores a time on SQLite."""
        return str(moment.astimezone(UTC).replace(tzinfo=None))

    def miner_keys(self, site_id: int, miner_ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        with connection.cursor() as cursor:
            for start in range(0, len(miner_ids), KEYS_A_QUERY):
                names = list(miner_ids[start : start + KEYS_A_QUERY])
                marks = ",".join(["%s"] * len(names))
                cursor.execute(f"SELECT miner_id, id FROM miners_miner WHERE site_id = %s AND miner_id IN ({marks})", [site_id, *names])
                found.update(cursor.fetchall())
        return found

    def store(self, batch: Batch) -> Stored:
        """Transactions begin IMMEDIATE, so there is no other writer."""
        constants = (batch.site_id, self.stored_time(batch.received_at), batch.source)
        with connection.cursor() as cursor:
            known = _live_rows(cursor)
            cursor.executemany(_append_history(), [_history(row) for row in batch.rows])
            appended = cursor.rowcount
            cursor.executemany(_move_live(), [_live(row) + constants for row in batch.rows if row[columns.NEWEST]])
            moved = cursor.rowcount
            cursor.executemany(_move_detail(), [_detail(row) for row in batch.rows if row[columns.LISTED]])
            inserted = _live_rows(cursor) - known
        return Stored(appended=appended, live_inserted=inserted, live_updated=moved - inserted)

    def take_turns(self, name: str) -> None:
        """Nothing to wait for: there is one writing transaction at a time."""

    def make_room(self, refusal: IntegrityError, timestamps: Iterable[datetime]) -> bool:
        return False


def _live_rows(cursor: Any) -> int:
    cursor.execute("SELECT count(*) FROM miner_telemetry_live")
    return int(cursor.fetchone()[0])


@cache
def _append_history() -> str:
    return _insert("miner_telemetry_history", columns.HISTORY) + " ON CONFLICT DO NOTHING"


@cache
def _move_live() -> str:
    return _upsert("miner_telemetry_live", columns.LIVE + columns.PER_BATCH)


@cache
def _move_detail() -> str:
    return _upsert("miner_telemetry_detail", columns.DETAIL)


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"


def _upsert(table: str, names: Sequence[str]) -> str:
    moves = ", ".join(f"{name} = {columns.moved(name, new='excluded', known=table)}" for name in names[1:])
    return f"{_insert(table, names)} ON CONFLICT (miner_id) DO UPDATE SET {moves} WHERE excluded.timestamp > {table}.timestamp"
