"""Bounded pools of threads, one for each kind of work, so that none starves another.

A farm of dead miners fills `collection`, a slow price server `outgoing`: the operator's commands still have their own threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import connections
from prometheus_client import Counter, Gauge

RUNNING = Gauge("bulkhead_running", "Jobs at work in the pool, in all processes.", ["pool"], multiprocess_mode="livesum")
QUEUED = Gauge("bulkhead_queued", "Jobs that wait for a thread of the pool, in all processes.", ["pool"], multiprocess_mode="livesum")
SATURATION = Gauge(
    "bulkhead_saturation",
    "Share of threads and queue places in use, 0 to 1, in the fullest process.",
    ["pool"],
    multiprocess_mode="livemax",
)
REFUSED = Counter("bulkhead_refused_total", "Jobs that found the pool and its queue full.", ["pool"])

P = ParamSpec("P")
R = TypeVar("R")


class BulkheadFull(Exception):
    """Every thread of the pool is busy and its queue is full: do it later or say so, never queue without bound."""


@dataclass(frozen=True, slots=True)
class BulkheadState:
    """One pool at one moment. `saturation` is the share of its threads and queue places in use, 0 to 1."""

    name: str
    threads: int
    running: int
    queued: int
    queue_limit: int
    refused: int

    @property
    def saturation(self) -> float:
        return (self.running + self.queued) / (self.threads + self.queue_limit)


class Bulkhead:
    """`threads` at work and `queue_limit` waiting; whatever comes on top is refused at once."""

    def __init__(self, name: str, *, threads: int, queue_limit: int) -> None:
        self.name = name
        self.threads = threads
        self.queue_limit = queue_limit
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running = 0
        self._admitted = 0
        self._refused = 0

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run `work` in one of the pool's threads; raise BulkheadFull instead of waiting for a place."""
        self._admit()
        try:
            future = self._executor.submit(self._run, partial(work, *args, **kwargs))
        except RuntimeError:  # the pool was closed meanwhile
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return future

    def state(self) -> BulkheadState:
        with self._lock:
            queued = self._admitted - self._running
            return BulkheadState(self.name, self.threads, self._running, queued, self.queue_limit, self._refused)

    def close(self) -> None:
        """Take no more work, forget what is queued, wait for nothing: work that hangs must not hold the process."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _show(self) -> None:
        """Tell Prometheus; with the lock held, so that the newest state is the last one told."""
        queued = self._admitted - self._running
        RUNNING.labels(self.name).set(self._running)
        QUEUED.labels(self.name).set(queued)
        SATURATION.labels(self.name).set((self._running + queued) / (self.threads + self.queue_limit))

    def _admit(self) -> None:
        with self._lock:
            if self._admitted >= self.threads + self.queue_limit:
                self._refused += 1
                REFUSED.labels(self.name).inc()
                raise BulkheadFull(f"{self.name}: {self.threads} threads busy and {self.queue_limit} jobs waiting; try again later.")
            self._admitted += 1
            self._show()

    def _leave(self, future: Future[Any] | None = None) -> None:
        with self._lock:
            self._admitted -= 1
            if future is not None and not future.cancelled():
                self._running -= 1
            self._show()

    def _run(self, work: Callable[[], R]) -> R:
        with self._lock:
            self._running += 1
            self._show()
        try:
            return work()
        finally:
            connections.close_all()  # this thread's own; an idle thread must not hold one


@dataclass(frozen=True, slots=True)
class _Size:
    threads: int
    queue_limit: int


COLLECTION = "collection"
COMMANDS = "commands"
OUTGOING = "outgoing"
NOTIFICATIONS = "notifications"
SIZES = {
    COLLECTION: _Size(threads=20, queue_limit=64),  # a round of thousands of miners takes one: so many sites at a time
    COMMANDS: _Size(threads=5, queue_limit=1_000),
    OUTGOING: _Size(threads=10, queue_limit=100),
    NOTIFICATIONS: _Size(threads=8, queue_limit=200),
}

_pools: dict[str, Bulkhead] = {}
_pools_lock = threading.Lock()


def bulkhead(name: str) -> Bulkhead:
    """This process's pool of that name (COLLECTION, COMMANDS, OUTGOING, NOTIFICATIONS), made when it is first used."""
    with _pools_lock:
        if name not in _pools:
            size = SIZES[name]
            _pools[name] = Bulkhead(name, threads=size.threads, queue_limit=size.queue_limit)
        return _pools[name]


def states() -> list[BulkheadState]:
    """The pools that this process has in use."""
    with _pools_lock:
        pools = list(_pools.values())
    return [pool.state() for pool in pools]


def _forget_pools_after_fork() -> None:
    """A forked child has the parent's pools without their threads: work given to them would never run."""
    global _pools_lock
    _pools_lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_forget_pools_after_fork)
