"""What was read and is not yet acknowledged by the server, on disk.

    spool = Spool(path, max_bytes=…, max_age_s=…)
    spool.append(lines, first_at=…, last_at=…)      # on the disk when it returns
    batch = spool.take_live() or spool.take_backlog()
    spool.acknowledge(batch)                        # or spool.put_back(batch)

Every record gets the next sequence number. What is dropped, because there is no room or because it is too old, is written down as an event
in the same transaction. Safe in threads.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_collector import gaps
from edge_collector.batch import Batch, halves, make_batch, merged, parts
from edge_collector.gaps import Dropped
from edge_collector.logs import EventLog
from edge_collector.spool_file import FULL, open_file, transaction

log = EventLog(__name__)

_COLUMNS = "seq_start, seq_end, first_at, last_at, packed"
_ROOM_TRIES = 6
_RECOVERS_AFTER = 20


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits. `oldest_at` is Unix seconds, None when nothing does."""

    records: int
    bytes: int
    batches: int
    oldest_at: float | None


class SpoolFull(Exception):
    """The disk takes nothing, not even in place of what was dropped."""


class Spool:
    def __init__(
        self, path: Path, *, max_bytes: float, max_age_s: float, max_records: int = 5_000, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_bytes, self._max_age_s = max_bytes, max_age_s
        self._max_records = self._limit = max_records
        self._full_ones = 0
        self._clock = clock
        self._lock = threading.RLock()
        self._db, self.damaged = open_file(path)
        self._taken: dict[int, Batch] = {}
        self.next_seq = self._number("next_seq") or 1
        self._live_from = self.next_seq
        self.lost_records = 0
        """Records dropped since the start."""

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # --- In -------------------------------------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[bytes], *, first_at: float, last_at: float, begins_round: bool = True) -> None:
        """Keep records, each a line of JSON; they are on the disk when this returns. Raises SpoolFull.

        The newest round is the live one; `begins_round` False adds to it.
        """
        with self._lock:
            batches = self._numbered(lines, first_at=first_at, last_at=last_at)
            for attempt in range(_ROOM_TRIES):
                try:
                    self._insert(batches)
                    break
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname not in FULL:
                        raise
                    self._make_room(2**attempt * sum(len(batch.packed) for batch in batches), error)
            else:
                raise SpoolFull("the disk is full and nothing is left to drop; free some space")
            if begins_round:
                self._live_from = self.next_seq
            self.next_seq = batches[-1].seq_end + 1

    def _numbered(self, lines: Sequence[bytes], *, first_at: float, last_at: float) -> list[Batch]:
        batches: list[Batch] = []
        seq = self.next_seq
        for part in parts(lines, most_records=self._limit):
            batches.append(make_batch(part, seq_start=seq, first_at=first_at, last_at=last_at))
            seq += len(part)
        return batches

    def _insert(self, batches: Sequence[Batch]) -> None:
        with transaction(self._db):
            self._write(batches)
            self._set_number("next_seq", batches[-1].seq_end + 1)
            self._drop(self._too_old(), reason="age")
            self._drop(self._too_much(), reason="size")

    def _write(self, batches: Iterable[Batch]) -> None:
        rows = [
            (each.seq_start, each.seq_end, each.records, len(each.packed), each.first_at, each.last_at, each.packed) for each in batches
        ]
        self._db.executemany(
            "INSERT INTO batches (seq_start, seq_end, records, bytes, first_at, last_at, packed) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )

    # --- Out ------------------------------------------------------------------------------------------------------------------------

    def take_live(self) -> Batch | None:
        """The next batch of the newest round; nobody else gets it until it is put back."""
        return self._take("seq_start >= ? ORDER BY seq_start LIMIT 1", enough=1)

    def take_backlog(self) -> Batch | None:
        """The newest of what is older, together with what lies right before it, as much as one upload carries."""
        return self._take("seq_start < ? ORDER BY seq_start DESC LIMIT 500", enough=self._limit)

    def _take(self, which: str, *, enough: int) -> Batch | None:
        with self._lock:
            chosen: list[tuple[int, int, int]] = []
            sql = f"SELECT seq_start, seq_end, bytes FROM batches WHERE not_before <= ? AND {self._not_taken()} AND {which}"
            for row in self._db.execute(sql, (self._clock(), self._live_from)).fetchall():
                if chosen and (row[1] + 1 != chosen[-1][0] or chosen[0][1] - row[0] >= enough):
                    break
                chosen.append(row)
            if not chosen:
                return None
            batches = self._read(chosen[-1][0], chosen[0][1])
            batch = batches[0] if len(batches) == 1 else merged(batches)
            batch = self._cut_to_limit(batch)
            self._taken[batch.seq_start] = batch
            return batch

    def _cut_to_limit(self, batch: Batch) -> Batch:
        while batch.records > self._limit:
            batch = self._halved(batch)[1]
        return batch

    def _halved(self, batch: Batch) -> tuple[Batch, Batch]:
        both = halves(batch)
        with transaction(self._db):
            self._delete(batch)
            self._write(both)
        return both

    def put_back(self, batch: Batch) -> None:
        """It was not acknowledged; it may be taken again."""
        with self._lock:
            self._taken.pop(batch.seq_start, None)

    def acknowledge(self, batch: Batch) -> None:
        """The server has it for good."""
        with self._lock:
            with transaction(self._db):
                self._delete(batch)
                self._set_number("last_acked_seq", max(batch.seq_end, self._number("last_acked_seq") or 0))
            self._taken.pop(batch.seq_start, None)
            self._full_ones = self._full_ones + 1 if batch.records >= self._limit // 2 else 0
            if self._full_ones >= _RECOVERS_AFTER and self._limit < self._max_records:
                self._limit, self._full_ones = min(self._max_records, 2 * self._limit), 0

    def split(self, batch: Batch) -> bool:
        """It was too large for the server: store it as halves and send no more than that at once. False for a single record."""
        with self._lock:
            self._taken.pop(batch.seq_start, None)
            if batch.records < 2:
                return False
            self._limit, self._full_ones = min(self._limit, (batch.records + 1) // 2), 0
            self._halved(batch)
            return True

    def refuse(self, batch: Batch, *, again_in_s: float) -> None:
        """The server does not want it as it is: it stays, out of the others' way, and is offered again later, ever more rarely."""
        with self._lock:
            with transaction(self._db):
                self._db.execute(
                    "UPDATE batches SET refusals = refusals + 1, not_before = ? + ? * (1 << min(refusals, 8))"
                    " WHERE seq_start >= ? AND seq_end <= ?",
                    (self._clock(), again_in_s, batch.seq_start, batch.seq_end),
                )
            self._taken.pop(batch.seq_start, None)

    # --- Less room ------------------------------------------------------------------------------------------------------------------

    def merge_some(self) -> bool:
        """Replace batches that fill one upload together by one, which takes half the room; False when there is nothing to merge."""
        with self._lock:
            run = self._full_run()
            if run is None:
                return False
            batch = merged(self._read(*run))
            with transaction(self._db):
                self._delete(batch)
                self._write([batch])
            return True

    def _full_run(self) -> tuple[int, int] | None:
        """The first neighbours that leave no room for the next one in an upload of theirs."""
        start = end = count = 0
        sql = f"SELECT seq_start, seq_end FROM batches WHERE seq_start < ? AND refusals = 0 AND {self._not_taken()} ORDER BY seq_start"
        for row_start, row_end in self._db.execute(sql, (self._live_from,)):
            fits = count and row_start == end + 1 and row_end - start < self._limit
            if fits:
                end, count = row_end, count + 1
            elif count > 1 and row_start == end + 1:
                return start, end
            else:
                start, end, count = row_start, row_end, 1
            if count > 1 and end - start + 1 == self._limit:
                return start, end
        return None

    def give_back_space(self, *, keep_pages: int = 8_192, at_once: int = 2_048) -> bool:
        """Return room in the file that is not used any more to the disk, a little at a time; False when there is nothing to return."""
        with self._lock:
            (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
            if free <= keep_pages:
                return False
            self._db.execute(f"PRAGMA incremental_vacuum({min(at_once, free - keep_pages)})").fetchall()
            return True

    def _make_room(self, wanted: float, error: sqlite3.OperationalError) -> None:
        log.warning("disk_full", reason=str(error), dropping_bytes=int(wanted))
        with transaction(self._db):
            self._drop(self._oldest(wanted), reason="size")

    def _too_old(self) -> list[Dropped]:
        rows = self._candidates("AND last_at < ?", self._clock() - self._max_age_s)
        return list(rows)

    def _too_much(self) -> list[Dropped]:
        (held,) = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM batches").fetchone()
        return self._oldest(held - self._max_bytes)

    def _oldest(self, wanted: float) -> list[Dropped]:
        """The oldest batches that free `wanted` bytes."""
        chosen: list[Dropped] = []
        rows = self._candidates("", *())
        while wanted > 0 and (oldest := next(rows, None)):
            chosen.append(oldest)
            wanted -= oldest.bytes
        return chosen

    def _candidates(self, condition: str, *values: float) -> Iterator[Dropped]:
        sql = f"SELECT seq_start, seq_end, bytes, first_at, last_at FROM batches WHERE {self._not_taken()} {condition} ORDER BY seq_start"
        return (Dropped(*row) for row in self._db.execute(sql, values))

    def _drop(self, dropped: Sequence[Dropped], *, reason: str) -> None:
        """Within a transaction: what is gone and the record of it are one."""
        for each in dropped:
            self._db.execute("DELETE FROM batches WHERE seq_start = ?", (each.seq_start,))
            gaps.write_down(self._db, each, reason=reason, now=self._clock())
            self.lost_records += each.records
        if dropped:
            log.warning("spool_dropped", reason=reason, seq_start=dropped[0].seq_start, seq_end=dropped[-1].seq_end)

    # --- What there is ---------------------------------------------------------------------------------------------------------------

    def depth(self) -> Depth:
        with self._lock:
            row = self._db.execute("SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0), count(*), min(first_at) FROM batches")
            return Depth(*row.fetchone())

    @property
    def last_acked_seq(self) -> int | None:
        with self._lock:
            return self._number("last_acked_seq")

    def _read(self, start: int, end: int) -> list[Batch]:
        sql = f"SELECT {_COLUMNS} FROM batches WHERE seq_start >= ? AND seq_end <= ? ORDER BY seq_start"
        return [Batch(*row) for row in self._db.execute(sql, (start, end))]

    def _delete(self, batch: Batch) -> None:
        self._db.execute("DELETE FROM batches WHERE seq_start >= ? AND seq_end <= ?", (batch.seq_start, batch.seq_end))

    def _not_taken(self) -> str:
        ranges = [f"seq_start NOT BETWEEN {batch.seq_start} AND {batch.seq_end}" for batch in self._taken.values()]
        return " AND ".join(ranges) or "1"

    def _number(self, name: str) -> int | None:
        row = self._db.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def _set_number(self, name: str, value: int) -> None:
        self._db.execute("INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))
