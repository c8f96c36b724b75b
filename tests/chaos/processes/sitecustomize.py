"""Loaded by every Python process of the installation (PYTHONPATH): its wall clock is off by the seconds in the file HASHINSIGHT_TEST_CLOCK.

As with a clock that is set by hand or by NTP, the time of day jumps and the monotonic clock goes on; time-machine replaces the time of day
below Python, in `time`, `datetime` and everything that calls them.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

LOOK_EVERY_S = 0.2


class SteppedClock:
    """Follows the file from a thread, also in each process that is forked later."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._journey = time_machine.travel(datetime.now(UTC), tick=True)
        self._traveller = self._journey.start()
        self._off_s = 0.0
        os.register_at_fork(after_in_child=self.follow)

    def follow(self) -> None:
        threading.Thread(target=self._run, name="stepped clock", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._look()
            time.sleep(LOOK_EVERY_S)

    def _look(self) -> None:
        try:
            wanted_s = float(self._file.read_text() or 0)
        except (OSError, ValueError):
            return
        if wanted_s != self._off_s:
            self._traveller.shift(timedelta(seconds=wanted_s - self._off_s))
            self._off_s = wanted_s


SteppedClock(Path(os.environ["HASHINSIGHT_TEST_CLOCK"])).follow()
