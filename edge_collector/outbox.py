"""Events for the server, on disk beside the spool until it has them: what was dropped, safety's acts, starts and searches."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from edge_collector.batch import iso
from edge_collector.logs import EventLog
from edge_collector.spool import Spool
from edge_collector.store import is_full, transaction

log = EventLog(__name__)

MOST_KEPT: Final = 20_000
"""Beyond it the oldest go, but for the records of what was dropped."""

Event = dict[str, Any]


class Outbox:
    """In the spool's file and under its lock, so that a gap and its event are one transaction."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._held: list[tuple[str, ...]] = []
        """What a full disk did not take yet."""

    def put(self, kind: str, message: str, *, miner_id: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        """On the disk when this returns; on a full one, as soon as it takes it."""
        row: tuple[Any, ...] = (str(uuid.uuid4()), kind, iso(datetime.now(UTC)), miner_id, message[:500], json.dumps(dict(details or {})))
        with self._spool.lock:
            self._held = [*self._held, row][-MOST_KEPT:]
            try:
                with transaction(self._spool.db):
                    self._write_held()
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                log.error("disk_full", events_held_in_memory=len(self._held), remedy="free some space")
            else:
                self._held = []

    def _write_held(self) -> None:
        db = self._spool.db
        db.executemany("INSERT INTO events (event_id, kind, at, miner_id, message, details) VALUES (?, ?, ?, ?, ?, ?)", self._held)
        sql = "DELETE FROM events WHERE kind <> 'spool_dropped' AND number <= (SELECT max(number) FROM events) - ?"
        db.execute(sql, (MOST_KEPT,))

    def take(self, limit: int = 100) -> list[Event]:
        """The oldest, as the server wants them. From now on they do not change, whether they arrive or not."""
        if self.count() == 0:
            return []
        with self._spool.lock, transaction(self._spool.db):
            sql = "SELECT event_id, kind, at, miner_id, message, details FROM events ORDER BY number LIMIT ?"
            events = [_event(*row) for row in self._spool.db.execute(sql, (limit,))]
            ids = [(event["event_id"],) for event in events]
            self._spool.db.executemany("UPDATE events SET attempts = attempts + 1 WHERE event_id = ?", ids)
        return events

    def arrived(self, events: Sequence[Event]) -> None:
        with self._spool.lock, transaction(self._spool.db):
            self._spool.db.executemany("DELETE FROM events WHERE event_id = ?", [(event["event_id"],) for event in events])

    def count(self) -> int:
        with self._spool.lock:
            (count,) = self._spool.db.execute("SELECT count(*) FROM events").fetchone()
            return int(count)


def _event(event_id: str, kind: str, at: str, miner_id: str | None, message: str | None, details: str) -> Event:
    event = {"event_id": event_id, "kind": kind, "at": at, "miner_id": miner_id, "message": message, "details": json.loads(details)}
    return {name: value for name, value in event.items() if value is not None}
