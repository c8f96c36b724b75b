"""The batches in the spool's file: the SQL, and the choice of what goes when there is too much. The caller holds the lock."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from edge_collector import gaps
from edge_collector.batch import Batch
from edge_collector.gaps import Dropped
from edge_collector.logs import EventLog

log = EventLog(__name__)

_INSERT = "INSERT INTO batches (seq_start, seq_end, records, bytes, first_at, last_at, packed) VALUES (?, ?, ?, ?, ?, ?, ?)"
_LOOKED_AT = 500
"""Rows looked at for one upload of the backlog."""

Taken = Iterable[Batch]
"""Batches that are under way: they are left alone."""


class Shelf:
    def __init__(self, db: sqlite3.Connection, *, max_bytes: float, max_age_s: float) -> None:
        self._db = db
        self._max_bytes, self._max_age_s = max_bytes, max_age_s

    # --- Rows -----------------------------------------------------------------------------------------------------------------------

    def write(self, batches: Iterable[Batch]) -> None:
        rows = [
            (item.seq_start, item.seq_end, item.records, len(item.packed), item.first_at, item.last_at, item.packed) for item in batches
        ]
        self._db.executemany(_INSERT, rows)

    def delete(self, batch: Batch) -> None:
        self._db.execute("DELETE FROM batches WHERE seq_start >= ? AND seq_end <= ?", (batch.seq_start, batch.seq_end))

    def read(self, start: int, end: int) -> list[Batch]:
        sql = "SELECT seq_start, seq_end, first_at, last_at, packed FROM batches WHERE seq_start >= ? AND seq_end <= ? ORDER BY seq_start"
        return [Batch(*row) for row in self._db.execute(sql, (start, end))]

    def first_from(self, seq: int, *, now: float, spared: Taken) -> list[Batch]:
        sql = (
            f"SELECT seq_start, seq_end FROM batches WHERE seq_start >= ? AND not_before <= ? AND {_not(spared)} ORDER BY seq_start LIMIT 1"
        )
        row = self._db.execute(sql, (seq, now)).fetchone()
        return self.read(*row) if row else []

    def last_before(self, seq: int, *, most: int, now: float, spared: Taken) -> list[Batch]:
        """The newest before `seq` with its neighbours, up to `most` records together."""
        sql = (
            f"SELECT seq_start, seq_end FROM batches WHERE seq_start < ? AND not_before <= ? AND {_not(spared)}"
            f" ORDER BY seq_start DESC LIMIT {_LOOKED_AT}"
        )
        start = end = None
        for row_start, row_end in self._db.execute(sql, (seq, now)).fetchall():
            if start is None or end is None:
                start, end = row_start, row_end
            elif row_end + 1 == start and end - row_start < most:
                start = row_start
            else:
                break
        return [] if start is None or end is None else self.read(start, end)

    def full_run(self, *, before: int, most: int, spared: Taken) -> list[Batch]:
        """The first neighbours that leave no room for the next one in an upload of theirs."""
        start = end = count = 0
        sql = f"SELECT seq_start, seq_end FROM batches WHERE seq_start < ? AND refusals = 0 AND {_not(spared)} ORDER BY seq_start"
        for row_start, row_end in self._db.execute(sql, (before,)).fetchall():
            follows = count > 0 and row_start == end + 1
            if follows and row_end - start < most:
                end, count = row_end, count + 1
            elif follows and count > 1:
                return self.read(start, end)
            else:
                start, end, count = row_start, row_end, 1
            if count > 1 and end - start + 1 == most:
                return self.read(start, end)
        return []

    def put_off(self, batch: Batch, *, now: float, seconds: float) -> None:
        sql = (
            "UPDATE batches SET refusals = refusals + 1, not_before = ? + ? * (1 << min(refusals, 8)) WHERE seq_start >= ? AND seq_end <= ?"
        )
        self._db.execute(sql, (now, seconds, batch.seq_start, batch.seq_end))

    def totals(self) -> tuple[int, int, int, float | None]:
        """Records, bytes, batches, and the time of the oldest reading."""
        sql = "SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0), count(*), min(first_at) FROM batches"
        records, size, batches, oldest_at = self._db.execute(sql).fetchone()
        return records, size, batches, oldest_at

    # --- Too much -------------------------------------------------------------------------------------------------------------------

    def too_old(self, now: float, *, spared: Taken) -> list[Dropped]:
        return list(self._candidates(f"{_not(spared)} AND last_at < ?", now - self._max_age_s))

    def too_much(self, *, spared: Taken) -> list[Dropped]:
        return self.oldest(self.totals()[1] - self._max_bytes, spared=spared)

    def oldest(self, wanted: float, *, spared: Taken) -> list[Dropped]:
        """The oldest batches that free `wanted` bytes."""
        chosen: list[Dropped] = []
        rows = self._candidates(_not(spared))
        while wanted > 0 and (oldest := next(rows, None)):
            chosen.append(oldest)
            wanted -= oldest.bytes
        return chosen

    def _candidates(self, condition: str, *values: float) -> Iterator[Dropped]:
        sql = f"SELECT seq_start, seq_end, bytes, first_at, last_at FROM batches WHERE {condition} ORDER BY seq_start"
        return (Dropped(*row) for row in self._db.execute(sql, values))

    def drop(self, dropped: Sequence[Dropped], *, reason: str, now: float, message: str = "") -> int:
        """Within a transaction, as what is gone and the record of it are one. Returns the number of records."""
        for each in dropped:
            self._db.execute("DELETE FROM batches WHERE seq_start = ?", (each.seq_start,))
            gaps.write_down(self._db, each, reason=reason, now=now, message=message)
        return sum(each.records for each in dropped)

    # --- The file -------------------------------------------------------------------------------------------------------------------

    def shrink_log(self) -> None:
        """Move what the write-ahead log holds into the file, and give its room back to the disk."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def give_back_space(self, *, keep_pages: int, at_once: int = 2_048) -> bool:
        free = self._free_pages()
        if free <= keep_pages:
            return False
        self._db.execute(f"PRAGMA incremental_vacuum({min(at_once, free - keep_pages)})").fetchall()
        return self._free_pages() < free

    def _free_pages(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])

    def number(self, name: str) -> int | None:
        row = self._db.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_number(self, name: str, value: int) -> None:
        self._db.execute("INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))

    def epoch(self) -> str:
        """The name of this file's numbers, made with the file."""
        number = self.number("epoch")
        if number is None:
            number = random.getrandbits(62)
            self.set_number("epoch", number)
        return f"{number:x}"


def _not(spared: Taken) -> str:
    """As a condition, with neighbours as one range: SQLite takes no more than a thousand terms."""
    ranges: list[list[int]] = []
    for start, end in sorted((batch.seq_start, batch.seq_end) for batch in spared):
        if ranges and ranges[-1][1] + 1 == start:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    return " AND ".join(f"seq_start NOT BETWEEN {start} AND {end}" for start, end in ranges) or "1"
