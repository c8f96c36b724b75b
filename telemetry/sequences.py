"""Which of a collector's numbers are missing: the lowest and the highest known ones, and the holes between. No database here.

A hole has the times of the readings around it. It closes as its numbers arrive, in any order and any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

HOLES_AT_MOST = 1_000
"""Of one collector. Beyond, a new hole is added to the last one, which then knows how many numbers are missing, not all of which."""


@dataclass(slots=True, kw_only=True)
class Hole:
    """Numbers from `start` to `end` of which `missing` have not arrived; `row` is the gap's primary key, None for a new one."""

    start: int
    end: int
    from_at: datetime
    to_at: datetime
    missing: int
    is_dropped: bool = False
    """The collector has said that it does not have them any more."""
    row: int | None = None

    @property
    def is_exact(self) -> bool:
        """All numbers of its span are missing."""
        return self.missing == self.end - self.start + 1


@dataclass(slots=True)
class Numbers:
    """The numbers of one collector in one epoch: the lowest and the highest known ones, with their times, and what is missing between."""

    lowest: int | None = None
    lowest_at: datetime | None = None
    highest: int | None = None
    highest_at: datetime | None = None
    holes: list[Hole] = field(default_factory=list)

    def arrived(self, start: int, end: int, *, oldest_at: datetime, newest_at: datetime) -> None:
        """Readings with the numbers `start` to `end`, taken between the two times, are stored."""
        self._fill(start, end, oldest_at=oldest_at, newest_at=newest_at)
        self._reach(start, end, from_at=oldest_at, to_at=newest_at)

    def dropped(self, start: int, end: int, *, from_at: datetime, to_at: datetime) -> None:
        """The collector has given up these numbers. Those of them that have arrived are not missing all the same."""
        for hole in [hole for hole in self.holes if not hole.is_dropped and hole.start <= end and hole.end >= start]:
            within = self._cut(hole, max(start, hole.start), min(end, hole.end), before_at=from_at, after_at=to_at)
            if within is not None:
                within.from_at, within.to_at = max(from_at, hole.from_at), min(to_at, hole.to_at)
                within.is_dropped, within.row = True, None
                self._insert(within)
        for first, last in self._unheard(start, end):
            self._reach(first, last, from_at=from_at, to_at=to_at)
            self._open(Hole(start=first, end=last, from_at=from_at, to_at=to_at, missing=last - first + 1, is_dropped=True))

    def _unheard(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of the range that lie outside of what is known."""
        if self.lowest is None or self.highest is None:
            return [(start, end)]
        parts = [(start, min(end, self.lowest - 1)), (max(start, self.highest + 1), end)]
        return [(first, last) for first, last in parts if first <= last]

    def _reach(self, start: int, end: int, *, from_at: datetime, to_at: datetime) -> None:
        """Make what is known reach from `start` to `end`; what lies in between is a hole."""
        if self.lowest is None or self.highest is None or self.lowest_at is None or self.highest_at is None:
            self.lowest, self.lowest_at, self.highest, self.highest_at = start, from_at, end, to_at
            return
        if start > self.highest + 1:
            self._open_between(self.highest + 1, start - 1, from_at=self.highest_at, to_at=from_at)
        elif end < self.lowest - 1:
            self._open_between(end + 1, self.lowest - 1, from_at=to_at, to_at=self.lowest_at)
        if end > self.highest:
            self.highest, self.highest_at = end, max(to_at, self.highest_at)
        if start < self.lowest:
            self.lowest, self.lowest_at = start, min(from_at, self.lowest_at)

    def _open_between(self, start: int, end: int, *, from_at: datetime, to_at: datetime) -> None:
        self._open(Hole(start=start, end=end, from_at=from_at, to_at=to_at, missing=end - start + 1))

    def _open(self, hole: Hole) -> None:
        """Add a hole outside of all others, or its numbers to its neighbour when there are too many."""
        if len(self.holes) < HOLES_AT_MOST:
            self._insert(hole)
            return
        neighbour = self.holes[-1] if hole.start > self.holes[-1].start else self.holes[0]
        neighbour.start, neighbour.end = min(neighbour.start, hole.start), max(neighbour.end, hole.end)
        neighbour.from_at, neighbour.to_at = min(neighbour.from_at, hole.from_at), max(neighbour.to_at, hole.to_at)
        neighbour.missing += hole.missing

    def _fill(self, start: int, end: int, *, oldest_at: datetime, newest_at: datetime) -> None:
        for hole in [hole for hole in self.holes if hole.start <= end and hole.end >= start]:
            self._cut(hole, max(start, hole.start), min(end, hole.end), before_at=oldest_at, after_at=newest_at)

    def _cut(self, hole: Hole, start: int, end: int, *, before_at: datetime, after_at: datetime) -> Hole | None:
        """Take `start` to `end` out of `hole`: the part, or None where it can only be counted as gone."""
        found = replace(hole, start=start, end=end, missing=end - start + 1)
        in_the_middle = start > hole.start and end < hole.end
        if not hole.is_exact or (in_the_middle and len(self.holes) >= HOLES_AT_MOST):
            self._count_down(hole, end - start + 1)
            return None
        self.holes.remove(hole)
        if start > hole.start:
            self._insert(replace(hole, end=start - 1, to_at=_between(before_at, hole), missing=start - hole.start))
            hole.row = None  # the row goes to one part only
        if end < hole.end:
            self._insert(
                replace(
                    hole, start=end + 1, from_at=_between(after_at, hole), missing=hole.end - end, row=None if in_the_middle else hole.row
                )
            )
        return found

    def _count_down(self, hole: Hole, numbers: int) -> None:
        hole.missing -= numbers
        if hole.missing <= 0:
            self.holes.remove(hole)

    def _insert(self, hole: Hole) -> None:
        self.holes.append(hole)
        self.holes.sort(key=lambda each: each.start)


def _between(moment: datetime, hole: Hole) -> datetime:
    return min(max(moment, hole.from_at), hole.to_at)
