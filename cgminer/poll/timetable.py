"""What a round has to do later, and when."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable

from cgminer.poll.turn import TurnExchange


class Timetable:
    """Timers, and a first look at each exchange that was begun.

    Every exchange is looked at for the first time after the same while, so they stand in a queue and not in the heap.
    """

    __slots__ = ("_first_look_s", "_first_looks", "_look", "_serial", "_timers")

    def __init__(self, *, first_look_s: float, look: Callable[[TurnExchange], None]) -> None:
        self._first_look_s = first_look_s
        self._look = look
        self._first_looks: deque[tuple[float, TurnExchange]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()

    def begun(self, exchange: TurnExchange) -> None:
        self._first_looks.append((exchange.started + self._first_look_s, exchange))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._serial), action))

    def run(self, now: float) -> None:
        """All that is due at `now`, on the monotonic clock."""
        while self._first_looks and self._first_looks[0][0] <= now:
            self._look(self._first_looks.popleft()[1])
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def next_due(self, ends: float) -> float:
        """When the next thing is due, `ends` at the latest."""
        until = min(ends, self._timers[0][0]) if self._timers else ends
        return min(until, self._first_looks[0][0]) if self._first_looks else until
