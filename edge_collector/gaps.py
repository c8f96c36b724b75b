"""The record of what was dropped: written in the transaction that drops it, sent to the server as an event."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from edge_collector.batch import Batch, iso_of

KIND = "spool_dropped"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A batch that goes. Times are Unix seconds."""

    seq_start: int
    seq_end: int
    bytes: int
    first_at: float
    last_at: float

    @classmethod
    def of(cls, batch: Batch) -> Dropped:
        return cls(batch.seq_start, batch.seq_end, len(batch.packed), batch.first_at, batch.last_at)

    @property
    def records(self) -> int:
        return self.seq_end - self.seq_start + 1


def write_down(db: sqlite3.Connection, dropped: Dropped, *, reason: str, now: float, message: str = "") -> None:
    """As an event of its own, or as part of the last one when that ends right before it and nobody was told of it yet."""
    if _extended(db, dropped, reason=reason):
        return
    details = {
        "seq_start": dropped.seq_start,
        "seq_end": dropped.seq_end,
        "from": iso_of(dropped.first_at),
        "to": iso_of(dropped.last_at),
        "records": dropped.records,
        "reason": reason,
    }
    sql = "INSERT INTO events (event_id, kind, at, message, details) VALUES (?, ?, ?, ?, ?)"
    db.execute(sql, (str(uuid.uuid4()), KIND, iso_of(now), message or _message(reason), json.dumps(details)))


def _extended(db: sqlite3.Connection, dropped: Dropped, *, reason: str) -> bool:
    sql = "SELECT number, details FROM events WHERE kind = ? AND attempts = 0 ORDER BY number DESC LIMIT 1"
    row = db.execute(sql, (KIND,)).fetchone()
    if row is None:
        return False
    details: dict[str, Any] = json.loads(row[1])
    if details["seq_end"] + 1 != dropped.seq_start or details["reason"] != reason:
        return False
    details |= {
        "seq_end": dropped.seq_end,
        "records": details["records"] + dropped.records,
        "from": min(details["from"], iso_of(dropped.first_at)),
        "to": max(details["to"], iso_of(dropped.last_at)),
    }
    db.execute("UPDATE events SET details = ? WHERE number = ?", (json.dumps(details), row[0]))
    return True


def _message(reason: str) -> str:
    return "older than the spool keeps" if reason == "age" else "no more room in the spool"
