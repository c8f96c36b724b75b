"""Rows by `executemany`: SQLite has no round trips to save, only statements to prepare once."""

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
OTHER_SITES = "SELECT EXISTS (SELECT 1 FROM miner_telemetry_live WHERE site_id < %s OR site_id > %s)"
# Apart from the other columns: with them the index of sites would be rewritten for each row, changed or not.
MOVE_TO_SITE = "UPDATE miner_telemetry_live SET site_id = %s WHERE miner_id IN (SELECT value FROM json_each(%s)) AND site_id <> %s"


class SqliteStorage:
    def stored_time(self, moment: datetime) -> str:
        """The form in which Django stores a time on SQLite."""
        return moment.astimezone(UTC).isoformat(" ").removesuffix("+00:00")

    def stored_lines(self, lines: bytes) -> list[str]:
        return lines.decode().split("\n")[:-1]

    def miner_keys(self, site_id: int, miner_ids: Sequence[str]) -> dict[str, int]:
        neighbours = _keys_between(site_id, miner_ids)
        if neighbours is not None:
            return {name: neighbours[name] for name in miner_ids if name in neighbours}
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
        live = columns.LIVE + columns.PER_BATCH
        with connection.cursor() as cursor:
            append = f"{rows.insert('miner_telemetry_history', columns.HISTORY)} ON CONFLICT DO NOTHING"
            cursor.executemany(append, rows.values(columns.HISTORY))
            appended = cursor.rowcount
            moved, inserted = _move(cursor, rows, "miner_telemetry_live", live, which="newest")
            _move(cursor, rows, "miner_telemetry_detail", columns.DETAIL, which="listed")
            cursor.execute(OTHER_SITES, [batch.site_id, batch.site_id])
            if cursor.fetchone()[0]:
                cursor.execute(MOVE_TO_SITE, [batch.site_id, json.dumps(miners), batch.site_id])
        return Stored(appended=appended, live_inserted=inserted, live_updated=moved)

    def take_turns(self, name: str) -> None:
        """Nothing to wait for: there is one writing transaction at a time."""

    def make_room(self, refusal: IntegrityError, timestamps: Iterable[datetime]) -> bool:
        return False


def _keys_between(site_id: int, miner_ids: Sequence[str]) -> dict[str, int] | None:
    """Primary keys of all the site's miners from the first of these names to the last; None when those are many more than these.

    Uploads mostly are of whole sites, and reading on in the index takes half the time of looking up each name.
    """
    limit = len(miner_ids) + len(miner_ids) // 8
    statement = "SELECT miner_id, id FROM miners_miner WHERE site_id = %s AND miner_id BETWEEN %s AND %s LIMIT %s"
    with connection.cursor() as cursor:
        cursor.execute(statement, [site_id, min(miner_ids, default=""), max(miner_ids, default=""), limit + 1])
        found = dict(cursor.fetchall())
    return found if len(found) <= limit else None


def _move(cursor: Any, rows: _Rows, table: str, names: Sequence[str], *, which: str) -> tuple[int, int]:
    """Bring the miners' rows of `table` forward and add the missing ones; returns how many moved and how many are new.

    Most rows are there, and to move them costs a fifth less than to try an insert first.
    """
    statement, parameters = rows.update(table, names)
    wanted = rows.values(parameters, which=which)
    cursor.executemany(statement, wanted)
    moved = int(cursor.rowcount) if wanted else 0
    if moved == len(wanted):
        return moved, 0
    cursor.executemany(f"{rows.insert(table, names)} ON CONFLICT DO NOTHING", rows.values(names, which=which))
    return moved, int(cursor.rowcount)


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

    def update(self, table: str, names: Sequence[str]) -> tuple[str, list[str]]:
        """The statement that moves a miner's row forward in time, and the columns that it takes, in its order."""
        changed = [name for name in names if name not in {"miner_id", "site_id"}]
        moves = ", ".join(f"{name} = {columns.moved(name, new=self._literals.get(name, '%s'), known=name)}" for name in changed)
        later = self._literals.get("timestamp", "%s")
        return f"UPDATE {table} SET {moves} WHERE miner_id = %s AND timestamp < {later}", [*changed, "miner_id", "timestamp"]


def _literal(value: Any) -> str | None:
    """`value` as SQL, None when SQLite might read it as another one: it rounds long fractions in its own way."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    if isinstance(value, float):
        return repr(value) if value.is_integer() and abs(value) < EXACT_BELOW else None
    return str(int(value))
