"""When rounds start: on a grid that does not drift, each a little earlier or later, never two at once."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable


class RoundClock:
    """The moments at which rounds start. Monotonic seconds, so that a clock that is set does not disturb it.

    The first round comes within the jitter; the grid of the others begins at a random point of the interval, so that collectors that were
    switched on together do not ask together.
    """

    def __init__(self, interval_s: float, jitter_s: float, *, chance: random.Random | None = None) -> None:
        self._interval_s, self._jitter_s = interval_s, jitter_s
        self._chance = chance or random.Random()
        self._origin = time.monotonic()
        self._first = self._origin + self._chance.uniform(0, jitter_s)
        self._phase = self._first + interval_s * self._chance.uniform(0.75, 1.5)
        self._number = -1
        self.skipped = 0
        """Rounds that were left out because the one before took too long."""

    def next_start(self, now: float) -> float:
        """When the next round starts; call it once a round. Grid points that have passed are left out, not made up for."""
        self._number += 1
        if self._number == 0:
            return self._first
        point = self._number - 1
        passed = math.ceil((now - self._phase - self._jitter_s) / self._interval_s)
        if passed > point:
            self.skipped += passed - point
            self._number, point = passed + 1, passed
        return self._phase + point * self._interval_s + self._chance.uniform(-self._jitter_s, self._jitter_s)


def run_rounds(clock: RoundClock, work: Callable[[], None], stop: threading.Event) -> None:
    """Call `work` at each of the clock's moments until `stop`."""
    while not stop.is_set():
        start = clock.next_start(time.monotonic())
        if not stop.wait(max(0.0, start - time.monotonic())):
            work()
