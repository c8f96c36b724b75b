"""The threads of the program: each does one job until the stop, and none takes the others along when it fails."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable

from edge_collector.logs import EventLog

log = EventLog(__name__)

PAUSE_S = 5.0
"""Before a job that failed begins again."""


class Crew:
    """Jobs are functions that return when `stop` is set. A damaged database ends the program: its next start puts it right."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.faults: Counter[str] = Counter()
        self.is_broken = False
        self._threads: list[threading.Thread] = []

    def start(self, name: str, job: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._work, args=(name, job), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, *, within_s: float) -> None:
        """Wait for those that are at work, each for its share of the time at most."""
        for thread in self._threads:
            thread.join(within_s / max(1, len(self._threads)))

    def _work(self, name: str, job: Callable[[], None]) -> None:
        while not self.stop.is_set():
            try:
                job()
            except Exception as fault:  # noqa: BLE001 - a mistake in one job must not end the others; it is logged with its trace
                if self.stop.is_set():
                    return
                self.faults[name] += 1
                log.fault("job_failed", job=name, again_in_s=PAUSE_S)
                if isinstance(fault, sqlite3.DatabaseError) and not isinstance(fault, sqlite3.OperationalError):
                    self.is_broken = True
                    self.stop.set()
                self.stop.wait(PAUSE_S)
