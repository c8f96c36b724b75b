"""Upserts by `executemany`: SQLite has no round trips to save, only statements to prepare once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any

from django.db import IntegrityError, connection

from telemetry.storage import columns
from telemetry.storage.base import Batch, Columns, Stored

EXACT_BELOW = 1e15
# Apart from the upsert, which would rewrite the index of sites for each row, changed or not.
MOVE_TO_SITE = "UPDATE miner_telemetry_live SET site_id = %s WHERE miner_id IN (SELECT value FROM json_each(%s)) AND site_id <> %s"


class SqliteStorage:
    def stored_time(self, moment: datetime) -> str:
        """The form in which Django stores a time on SQLite."""
        return moment.astimezone(UTC).isoformat(" ").removesuffix("+00:00")

    def stored_lines(self, lines: bytes) -> list[str]:
        return lines.decode().split("\n")[:-1]

    def miner_keys(self, site_id: int, miner_ids: Sequence[str]) -> dict[str, int]:
        among = "SELECT value FROM json_each(%s)"  # half the time that thousands of parameters take
        with connection.cursor() as cursor:
            statement = f"SELECT miner_id, id FROM miners_miner WHERE site_id = %s AND miner_id IN ({among})"
            cursor.execute(statement, [site_id, json.dumps(miner_ids)])
            return dict(cursor.fetchall())

    def store(self, batch: Batch) -> Stored:
        """Transactions begin IMMEDIATE, so there is no other writer."""
        if not batch.miners:
            return Stored(appended=0, live_inserted=0, live_updated=0)
        found, miners = batch.columns, batch.columns["miner_id"]
        constants = {"site_id": batch.site_id, "received_at": self.stored_time(batch.received_at), "source": batch.source}
        rows = _Rows(found | {name: [value] * len(miners) for name, value in constants.items()})
        with connection.cursor() as cursor:
            known = _live_rows(cursor)
            append = rows.insert("miner_telemetry_history", columns.HISTORY) + " ON CONFLICT DO NOTHING"
            cursor.executemany(append, rows.values(columns.HISTORY))
            appended = cursor.rowcount
            live = columns.LIVE + columns.PER_BATCH
            cursor.executemany(rows.upsert("miner_telemetry_live", live), rows.values(live, which="newest"))
            moved = cursor.rowcount
            cursor.executemany(rows.upsert("miner_telemetry_detail", columns.DETAIL), rows.values(columns.DETAIL, which="listed"))
            inserted = _live_rows(cursor) - known
            cursor.execute(MOVE_TO_SITE, [batch.site_id, json.dumps(miners), batch.site_id])
        return Stored(appended=appended, live_inserted=inserted, live_updated=moved - inserted)

    def take_turns(self, name: str) -> None:
        """Nothing to wait for: there is one writing transaction at a time."""

    def make_room(self, refusal: IntegrityError, timestamps: Iterable[datetime]) -> bool:
        return False


def _live_rows(cursor: Any) -> int:
    cursor.execute("SELECT count(*) FROM miner_telemetry_live")
    return int(cursor.fetchone()[0])


class _Rows:
    """The rows of a batch and the statements that take them: what is the same in all rows is written into the statement."""

    def __init__(self, found: Columns) -> None:
        self._found = found
        same = ((name, values[0]) for name, values in found.items() if values[0] == values[-1] and values.count(values[0]) == len(values))
        self._literals = {name: literal for name, value in same if name != "miner_id" and (literal := _literal(value))}

    def values(self, names: Sequence[str], *, which: str | None = None) -> list[tuple[Any, ...]]:
        """What is not written into the statement, of all rows or of those that the flag `which` marks."""
        rows = zip(*[self._found[name] for name in names if name not in self._literals], strict=True)
        return list(rows if which is None else compress(rows, self._found[which]))

    def insert(self, table: str, names: Sequence[str]) -> str:
        return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(self._literals.get(name, '%s') for name in names)})"

    def upsert(self, table: str, names: Sequence[str]) -> str:
        moves = ", ".join(
            f"{name} = {columns.moved(name, new=f'excluded.{name}', known=f'{table}.{name}')}"
            for name in names
            if name not in {"miner_id", "site_id"}
        )
        later = f"excluded.timestamp > {table}.timestamp"
        return f"{self.insert(table, names)} ON CONFLICT (miner_id) DO UPDATE SET {moves} WHERE {later}"


def _literal(value: Any) -> str | None:
    """`value` as SQL, None when SQLite might read it as another one: it rounds long fractions in its own way."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    if isinstance(value, float):
        return repr(value) if value.is_integer() and abs(value) < EXACT_BELOW else None
    return str(int(value))
