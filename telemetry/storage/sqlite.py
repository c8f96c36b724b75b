"""Upserts by `executemany`: SQLite has no round trips to save, only statements to prepare once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import compress, repeat
from typing import Any

from django.db import IntegrityError, connection

from telemetry.storage import columns
from telemetry.storage.base import Batch, Stored

KEYS_A_QUERY = 5_000


class SqliteStorage:
    def stored_time(self, moment: datetime) -> str:
        """The form in which Django stores a time on SQLite."""
        utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
        return str(utc.replace(tzinfo=None))

    def stored_lines(self, lines: bytes) -> list[str]:
        return lines.decode().split("\n")[:-1]

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
        found = batch.columns
        constants = [repeat(value) for value in (batch.site_id, self.stored_time(batch.received_at), batch.source)]
        history = zip(*[found[name] for name in columns.HISTORY], strict=True)
        live = zip(*[found[name] for name in columns.LIVE], *constants)  # noqa: B905 - the constants never end
        detail = zip(*[found[name] for name in columns.DETAIL], strict=True)
        with connection.cursor() as cursor:
            known = _live_rows(cursor)
            cursor.executemany(_append_history(), list(history))
            appended = cursor.rowcount
            cursor.executemany(_move_live(), list(compress(live, found["newest"])))
            moved = cursor.rowcount
            cursor.executemany(_move_detail(), list(compress(detail, found["listed"])))
            inserted = _live_rows(cursor) - known
            cursor.execute(_move_to_site(), [batch.site_id, json.dumps(found["miner_id"]), batch.site_id])
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
def _move_to_site() -> str:
    """Apart from the upsert, which would rewrite the index of sites for each row, changed or not."""
    of_batch = "miner_id IN (SELECT value FROM json_each(%s))"
    return f"UPDATE miner_telemetry_live SET site_id = %s WHERE {of_batch} AND site_id <> %s"


@cache
def _move_detail() -> str:
    return _upsert("miner_telemetry_detail", columns.DETAIL)


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"


def _upsert(table: str, names: Sequence[str]) -> str:
    moves = ", ".join(
        f"{name} = {columns.moved(name, new=f'excluded.{name}', known=f'{table}.{name}')}"
        for name in names
        if name not in {"miner_id", "site_id"}
    )
    return f"{_insert(table, names)} ON CONFLICT (miner_id) DO UPDATE SET {moves} WHERE excluded.timestamp > {table}.timestamp"
