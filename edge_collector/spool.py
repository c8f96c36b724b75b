"""What was read and is not yet acknowledged by the server, on disk.

    spool = Spool(path, max_bytes=…, max_age_s=…)
    spool.append(lines, first_at=…, last_at=…)      # on the disk when it returns
    batch = spool.take_live() or spool.take_backlog()
    spool.acknowledge(batch)                        # or spool.put_back(batch)

Every record gets the next sequence number. What is dropped, because there is no room or because it is too old, is written down as an event
in the same transaction. Safe in threads. While the disk takes nothing at all, the newest rounds are held in memory.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_collector.ballast import BYTES, Ballast
from edge_collector.batch import Batch, halves, make_batch, merged, parts
from edge_collector.gaps import Dropped
from edge_collector.logs import EventLog
from edge_collector.shelf import Shelf
from edge_collector.store import is_full, open_file, transaction

log = EventLog(__name__)

BALLAST = "ballast"
HELD_BYTES = 32_000_000
"""What is held in memory while the disk is full."""
_RECOVERS_AFTER = 20


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits. `oldest_at` is Unix seconds, None when nothing does; `held` counts records that are in memory alone."""

    records: int
    bytes: int
    batches: int
    oldest_at: float | None
    held: int = 0


class Spool:
    def __init__(
        self, path: Path, *, max_bytes: float, max_age_s: float, max_records: int = 5_000, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_records = self._limit = max_records
        self._full_ones = 0
        self._clock = clock
        self.lock = threading.RLock()
        self.db, self.damaged = _opened(path)
        self._shelf = Shelf(self.db, max_bytes=max_bytes, max_age_s=max_age_s)
        self._ballast = Ballast(path.with_name(BALLAST))
        self._taken: dict[int, Batch] = {}
        self._held: dict[int, Batch] = {}
        self._owed: list[Batch] = []
        """Acknowledged, but the disk did not take that yet."""
        self._lost_in_memory: list[Dropped] = []
        self.next_seq = self._shelf.number("next_seq") or 1
        self._live_from = self.next_seq
        self.epoch = self._shelf.epoch()
        """Names this numbering: a new spool begins at 1 again, under another name."""
        self.lost_records = 0
        """Records dropped since the start."""

    def close(self) -> None:
        with self.lock:
            self.db.close()

    # --- In -------------------------------------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[bytes], *, first_at: float, last_at: float, begins_round: bool = True) -> int:
        """Keep records, each a line of JSON; returns how many uploads they make. The newest round is the live one; `begins_round` False
        adds to it."""
        with self.lock:
            batches = self._numbered(lines, first_at=first_at, last_at=last_at)
            if begins_round:
                self._live_from = self.next_seq
            self.next_seq = batches[-1].seq_end + 1
            self._keep([*self._held.values(), *batches])
            return len(batches)

    def _numbered(self, lines: Sequence[bytes], *, first_at: float, last_at: float) -> list[Batch]:
        batches: list[Batch] = []
        seq = self.next_seq
        for part in parts(lines, most_records=self._limit):
            batches.append(make_batch(part, seq_start=seq, first_at=first_at, last_at=last_at))
            seq += len(part)
        return batches

    def _keep(self, batches: Sequence[Batch]) -> None:
        """On the disk; in memory when it takes nothing even in place of what is oldest."""
        for attempt in range(3):
            try:
                self._store(batches)
                return
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
            if not self._made_room(2**attempt * (BYTES + sum(len(batch.packed) for batch in batches))):
                break
        self._hold(batches)

    def _store(self, batches: Sequence[Batch]) -> None:
        shelf, now = self._shelf, self._clock()
        with transaction(self.db):
            self._settle()
            dropped = shelf.drop(self._lost_in_memory, reason="size", now=now)
            shelf.write(batches)
            shelf.set_number("next_seq", self.next_seq)
            dropped += shelf.drop(shelf.too_old(now, spared=self._taken.values()), reason="age", now=now)
            dropped += shelf.drop(shelf.too_much(spared=self._taken.values()), reason="size", now=now)
        self._held, self._lost_in_memory, self._owed = {}, [], []
        self._note_lost(dropped, because="of the limits of [spool]")

    def _made_room(self, wanted: float) -> bool:
        """On a full disk: drop the oldest, and give what it took back to the disk."""
        self._ballast.throw_off()
        try:
            self._shelf.shrink_log()
            with transaction(self.db):
                dropped = self._shelf.drop(self._shelf.oldest(wanted, spared=self._taken.values()), reason="size", now=self._clock())
            self._shelf.give_back_space(keep_pages=0, at_once=1_000_000)
            self._shelf.shrink_log()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            return False
        self._ballast.lay()
        self._note_lost(dropped, because="the disk is full")
        return True

    def _note_lost(self, records: int, *, because: str) -> None:
        if records:
            self.lost_records += records
            log.warning("spool_dropped", records=records, because=because)

    def _hold(self, batches: Sequence[Batch]) -> None:
        self._held = {batch.seq_start: batch for batch in batches}
        while sum(len(batch.packed) for batch in self._held.values()) > HELD_BYTES and len(self._held) > 1:
            lost = self._held.pop(min(self._held))
            self._lost_in_memory.append(Dropped.of(lost))
        log.error("disk_full", held_in_memory=sum(batch.records for batch in self._held.values()), remedy="free some space")

    # --- Out ------------------------------------------------------------------------------------------------------------------------

    def take_live(self) -> Batch | None:
        """The next batch of the newest round; nobody else gets it until it is put back."""
        with self.lock:
            live = [batch for start, batch in self._held.items() if start >= self._live_from and start not in self._taken]
            found = live[:1] or self._shelf.first_from(self._live_from, now=self._clock(), spared=self._taken.values())
            return self._hand_out(found)

    def take_backlog(self) -> Batch | None:
        """The newest of what is older, together with what lies right before it, as much as one upload carries."""
        with self.lock:
            older = [batch for start, batch in self._held.items() if start < self._live_from and start not in self._taken]
            now, spared = self._clock(), self._taken.values()
            return self._hand_out(older[-1:] or self._shelf.last_before(self._live_from, most=self._limit, now=now, spared=spared))

    def _hand_out(self, found: Sequence[Batch]) -> Batch | None:
        if not found:
            return None
        batch = found[0] if len(found) == 1 else merged(found)
        while batch.records > self._limit and batch.seq_start not in self._held:
            batch = self._halved(batch)[1]
        self._taken[batch.seq_start] = batch
        return batch

    def put_back(self, batch: Batch) -> None:
        """It was not acknowledged; it may be taken again."""
        with self.lock:
            self._taken.pop(batch.seq_start, None)

    def acknowledge(self, batch: Batch) -> None:
        """The server has it for good."""
        with self.lock:
            self._owed.append(batch)
            self._held.pop(batch.seq_start, None)
            try:
                with transaction(self.db):
                    self._settle()
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                return  # it stays among the taken ones, so that it is not sent again
            for settled in self._owed:
                self._taken.pop(settled.seq_start, None)
            self._owed = []
            self._grow_limit(batch)

    def _settle(self) -> None:
        """Within a transaction: what was acknowledged goes."""
        for batch in self._owed:
            self._shelf.delete(batch)
        if self._owed:
            newest = max(batch.seq_end for batch in self._owed)
            self._shelf.set_number("last_acked_seq", max(newest, self._shelf.number("last_acked_seq") or 0))

    def split(self, batch: Batch) -> bool:
        """It was too large for the server: store it as halves and send no more than that at once. False for a single record."""
        with self.lock:
            self._taken.pop(batch.seq_start, None)
            if batch.records < 2 or batch.seq_start in self._held:
                return False
            self._limit, self._full_ones = min(self._limit, (batch.records + 1) // 2), 0
            self._halved(batch)
            return True

    def refuse(self, batch: Batch, *, again_in_s: float) -> None:
        """The server does not want it as it is: it stays, out of the others' way, and is offered again later, ever more rarely."""
        with self.lock:
            with transaction(self.db):
                self._shelf.put_off(batch, now=self._clock(), seconds=again_in_s)
            self._taken.pop(batch.seq_start, None)

    def _halved(self, batch: Batch) -> tuple[Batch, Batch]:
        both = halves(batch)
        with transaction(self.db):
            self._shelf.delete(batch)
            self._shelf.write(both)
        return both

    def _grow_limit(self, batch: Batch) -> None:
        """After a while without complaint larger batches are tried again: what refused them may be gone."""
        self._full_ones = self._full_ones + 1 if batch.records >= self._limit // 2 else 0
        if self._full_ones >= _RECOVERS_AFTER and self._limit < self._max_records:
            self._limit, self._full_ones = min(self._max_records, 2 * self._limit), 0

    # --- Care -----------------------------------------------------------------------------------------------------------------------

    def merge_some(self) -> bool:
        """Replace batches that fill one upload together by one, which takes half the room; False when there is nothing to merge."""
        with self.lock:
            run = self._shelf.full_run(before=self._live_from, most=self._limit, spared=self._taken.values())
            if not run:
                return False
            batch = merged(run)
            with transaction(self.db):
                self._shelf.delete(batch)
                self._shelf.write([batch])
            return True

    def give_back_space(self, *, keep_pages: int = 8_192) -> bool:
        """Return room in the file that is not used any more to the disk, a little at a time; False when there is nothing to return."""
        with self.lock:
            self._ballast.lay()
            return self._shelf.give_back_space(keep_pages=keep_pages)

    def drop_all(self) -> int:
        """Drop everything that is not under way, as somebody asked for; returns the number of records. It is written down as a gap."""
        with self.lock, transaction(self.db):
            spared = self._taken.values()
            everything = self._shelf.oldest(float("inf"), spared=spared)
            return self._shelf.drop(
                everything, reason="size", now=self._clock(), message="dropped because somebody at the farm asked for it"
            )

    def depth(self) -> Depth:
        with self.lock:
            records, size, batches, oldest_at = self._shelf.totals()
            held = sum(batch.records for batch in self._held.values())
            owed = sum(batch.records for batch in self._owed)
            return Depth(records + held - owed, size, batches, oldest_at, held)

    @property
    def last_acked_seq(self) -> int | None:
        with self.lock:
            return self._shelf.number("last_acked_seq")


def _opened(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """A full disk does not even have the room that SQLite takes to open a file: then the ballast goes first."""
    try:
        return open_file(path)
    except sqlite3.OperationalError:
        path.with_name(BALLAST).unlink(missing_ok=True)
        return open_file(path)
