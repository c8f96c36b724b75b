"""What a storage does for ingest. Both implementations behave alike: the same tests run on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import and_
from typing import Any, Protocol

from django.db import IntegrityError

Columns = dict[str, list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Readings of one site by column, each (miner, timestamp) once, ordered by miner and time; `columns` has every name of that module."""

    site_id: int
    source: str
    received_at: datetime
    columns: Columns

    @property
    def miners(self) -> int:
        return sum(self.columns["newest"])

    @property
    def miners_online(self) -> int:
        """Miners whose newest reading of the batch is online."""
        return sum(map(and_, self.columns["newest"], self.columns["online"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """`appended` rows of history that were not there, `live_inserted` miners without a live row before, `live_updated` moved forward."""

    appended: int
    live_inserted: int
    live_updated: int


class Storage(Protocol):
    def stored_time(self, moment: datetime) -> Any:
        """`moment` as a batch holds it."""

    def stored_lines(self, lines: bytes) -> list[Any]:
        """The lists of a batch as it holds them, from lines of JSON in UTF-8."""

    def miner_keys(self, site_id: int, miner_ids: Sequence[str]) -> dict[str, int]:
        """Primary keys of the site's miners by `miner_id`; unknown ones are missing."""

    def store(self, batch: Batch) -> Stored:
        """Write history, live and detail rows inside the caller's transaction, while no other writer of the site does."""

    def take_turns(self, name: str) -> None:
        """Wait until no other transaction holds `name`, and hold it to the end of this one."""

    def make_room(self, refusal: IntegrityError, timestamps: Iterable[datetime]) -> bool:
        """Make the partitions that readings of these times lack, if it is for them that the database refused; True: try again."""
