"""A database that does not keep up says so, instead of letting work pile up before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import InterfaceError, OperationalError

from resilience import failures
from resilience.failures import ErrorClass

RETRY_AFTER_S = 10
LARGEST_BATCH = 5_000
SMALLEST_BATCH = 250
SLOW_S = 1.0
"""A batch that takes longer is halved the next time; one that takes a quarter of this lets them grow again."""

log = structlog.get_logger(__name__)


class DatabaseBusy(Exception):
    """The database is away, or took too long. Nothing of the batch that was being written is stored; sending it again later is right."""

    def __init__(self, reason: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(f"the database is away or too slow: {reason}; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@contextmanager
def busy_when_unavailable() -> Iterator[None]:
    """Turn what a driver raises for lost connections, time limits, locks and deadlocks into `DatabaseBusy`."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        reason = str(error).strip().partition("\n")[0]
        was_late = "timeout" in reason or "deadlock" in reason or "locked" in reason
        failures.count("database", ErrorClass.TIMEOUT if was_late else ErrorClass.CONNECTION)
        log.warning("database_busy", reason=reason)
        raise DatabaseBusy(reason) from error


class BatchSize:
    """How many readings one transaction takes, by how long the last ones took. Shared by the threads of a process."""

    def __init__(self, *, largest: int = LARGEST_BATCH, smallest: int = SMALLEST_BATCH, slow_s: float = SLOW_S) -> None:
        self.largest, self.smallest, self.slow_s = largest, smallest, slow_s
        self.current = largest
        self._lock = threading.Lock()

    def observe(self, readings: int, seconds: float) -> None:
        """Take note of a transaction of so many readings."""
        with self._lock:
            before = self.current
            if seconds > self.slow_s:
                self.current = max(self.smallest, min(readings, self.current) // 2)
            elif seconds < self.slow_s / 4:
                self.current = min(self.largest, self.current + self.current // 2)
            if self.current < before:
                log.warning("batch_size_reduced", readings=self.current, seconds=round(seconds, 2))

    @contextmanager
    def timed(self, readings: int) -> Iterator[None]:
        """Observe the transaction in the block; one that fails with `DatabaseBusy` was slow however soon it failed."""
        started = time.perf_counter()
        try:
            yield
        except DatabaseBusy:
            self.observe(readings, self.slow_s * 2)
            raise
        self.observe(readings, time.perf_counter() - started)
