"""What became of each command, on disk: which were begun, what came of them, whose result the server has.

A command is written down before its miner is touched. One that is found begun after a crash is never carried out again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_collector.store import open_file, transaction

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS commands (
    command_id TEXT PRIMARY KEY, miner_id TEXT NOT NULL, command TEXT NOT NULL, params TEXT NOT NULL, begun_at REAL NOT NULL,
    before TEXT NOT NULL DEFAULT '{}', result TEXT, answered_at REAL, tries INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS commands_open ON commands (begun_at) WHERE answered_at IS NULL;
CREATE TABLE IF NOT EXISTS machines (miner_id TEXT PRIMARY KEY, known TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS acted (miner_id TEXT PRIMARY KEY, action TEXT NOT NULL, at REAL NOT NULL) STRICT;
"""
KEPT_S: Final = 30 * 86_400
"""So long an answered command is remembered; a server offers one again for seven days at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command. `result` is None while nobody knows what came of it; `params` are without secrets."""

    command_id: str
    miner_id: str
    command: str
    params: Mapping[str, Any]
    begun_at: float
    before: Mapping[str, Any]
    result: Mapping[str, Any] | None
    is_answered: bool
    tries: int


class Journal:
    """Safe in threads."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.db, self.damaged = open_file(path, schema=SCHEMA)

    def close(self) -> None:
        with self.lock:
            self.db.close()

    def begin(self, command_id: str, *, miner_id: str, command: str, params: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
        """Write down that this command is about to be carried out; False when it is written down already."""
        sql = "INSERT OR IGNORE INTO commands (command_id, miner_id, command, params, begun_at, before) VALUES (?, ?, ?, ?, ?, ?)"
        with self.lock, transaction(self.db):
            row = (command_id, miner_id, command, json.dumps(dict(params)), time.time(), json.dumps(dict(before)))
            return self.db.execute(sql, row).rowcount == 1

    def finish(self, command_id: str, result: Mapping[str, Any]) -> None:
        """Write down what came of it; the first word stands."""
        with self.lock, transaction(self.db):
            sql = "UPDATE commands SET result = ? WHERE command_id = ? AND result IS NULL"
            self.db.execute(sql, (json.dumps(dict(result)), command_id))

    def entry(self, command_id: str) -> Entry | None:
        with self.lock:
            return next(self._entries("WHERE command_id = ?", command_id), None)

    def interrupted(self) -> list[Entry]:
        """Begun and without a result: after a start, those that a crash cut short."""
        with self.lock:
            return list(self._entries("WHERE result IS NULL ORDER BY begun_at"))

    def unanswered(self, now: float, *, limit: int = 50) -> list[Entry]:
        """Results that the server is to be told now, oldest first."""
        with self.lock:
            condition = "WHERE answered_at IS NULL AND result IS NOT NULL AND not_before <= ? ORDER BY begun_at LIMIT ?"
            return list(self._entries(condition, now, limit))

    def answered(self, command_id: str) -> None:
        with self.lock, transaction(self.db):
            self.db.execute("UPDATE commands SET answered_at = ? WHERE command_id = ?", (time.time(), command_id))
            self.db.execute("DELETE FROM commands WHERE answered_at < ?", (time.time() - KEPT_S,))

    def ask_again(self, command_id: str) -> None:
        """The server offers a command again: it does not have the result."""
        with self.lock, transaction(self.db):
            self.db.execute("UPDATE commands SET answered_at = NULL, not_before = 0 WHERE command_id = ?", (command_id,))

    def put_off(self, command_id: str, *, until: float) -> None:
        with self.lock, transaction(self.db):
            self.db.execute("UPDATE commands SET tries = tries + 1, not_before = ? WHERE command_id = ?", (until, command_id))

    def open_count(self) -> int:
        """Commands whose result the server does not have."""
        with self.lock:
            (count,) = self.db.execute("SELECT count(*) FROM commands WHERE answered_at IS NULL").fetchone()
            return int(count)

    def _entries(self, condition: str, *values: float | str) -> Any:
        sql = f"SELECT command_id, miner_id, command, params, begun_at, before, result, answered_at, tries FROM commands {condition}"
        return map(_entry, self.db.execute(sql, values))


def _entry(row: sqlite3.Row) -> Entry:
    command_id, miner_id, command, params, begun_at, before, result, answered_at, tries = row
    said = None if result is None else json.loads(result)
    return Entry(command_id, miner_id, command, json.loads(params), begun_at, json.loads(before), said, answered_at is not None, tries)
