"""Wakes one waiting thread; rung while nobody waits, the next wait ends at once."""

from __future__ import annotations

import threading


class Bell:
    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Whether it was rung within `seconds`."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung
