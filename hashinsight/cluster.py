"""The django-q2 cluster, made fit for a supervisor: it ends when it is broken instead of hanging in silence.

django-q2 replaces a killed worker, but a process killed while it holds a queue's lock leaves that lock taken for ever: the cluster looks
alive and works on nothing. So any killed member ends the whole cluster here, and the supervisor starts a whole one. The guard also beats:
it touches a file each cycle. There is no separate parent process that could die and leave its children at work.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.scheduler import scheduler

from hashinsight.clock import ClockWatch
from hashinsight.lifeline import when_closed

log = structlog.get_logger(__name__)

HEARTBEAT_VARIABLE = "HASHINSIGHT_HEARTBEAT"
HEARTBEAT_LATE_S = 10.0
WAKE_S = 0.1


class ClusterBroken(Exception):
    """A process of the cluster was killed; its queues can't be trusted any more."""


class Flag:
    """The part of `multiprocessing.Event` a guard uses; safe to set from a signal handler, which an Event is not."""

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self._is_set = False
        self._on_wait = on_wait

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self._is_set and time.monotonic() < deadline:
            self._on_wait()
            time.sleep(WAKE_S)
        return self._is_set


class GuardedSentinel(Sentinel):  # type: ignore[misc]  # django-q2 carries no types
    """A sentinel that leads its process group itself and raises ClusterBroken when a member was killed."""

    def __init__(self, *, heartbeat: Path | None) -> None:
        self.heartbeat = heartbeat
        self.clock = ClockWatch()
        stop = Flag(on_wait=self.look_round)
        super().__init__(stop, Flag(), uuid.uuid4(), get_broker(list_key=Conf.CLUSTER_NAME), start=False)
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGINT, self.on_signal)
        self._lifeline, self._own_end = os.pipe()
        os.register_at_fork(after_in_child=self.become_member)

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_event.set()

    def become_member(self) -> None:
        """In a process just forked: end with the guard, and take TERM for what it is, the end of a task that ran over its time."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(self._own_end)
        when_closed(self._lifeline, lambda: os.kill(os.getpid(), signal.SIGKILL))

    def members(self) -> list[BaseProcess]:
        return [*self.pool, self.monitor, self.pusher]

    def look_round(self) -> None:
        """Called several times in each guard cycle, before the guard touches a lock that a dead member may still hold."""
        for member in self.members():
            self.refuse_killed(member)
        if self.heartbeat is not None:
            beat(self.heartbeat)
        self.clock.look()

    def refuse_killed(self, member: BaseProcess) -> None:
        if member.exitcode is not None and member.exitcode < 0:
            raise ClusterBroken(f"process {member.pid} was killed by {signal.Signals(-member.exitcode).name}")

    def reincarnate(self, process: Any) -> None:
        if process.exitcode != -signal.SIGTERM:  # TERM comes from the guard itself, for a worker over its time
            self.refuse_killed(process)
        super().reincarnate(process)

    def run(self) -> None:
        """Work until a signal; raises ClusterBroken."""
        scheduler(broker=self.broker)  # the guard looks for what is due only half a minute after its start
        try:
            self.start()
        except ClusterBroken as broken:
            for member in self.members():
                member.kill()
            log.error("cluster_broken", reason=str(broken), hint="it ends itself; `manage.py up` starts a whole one")
            raise


def run_cluster() -> None:
    """Run a cluster in this process until TERM or Ctrl-C. Raises ClusterBroken."""
    path = os.environ.get(HEARTBEAT_VARIABLE)
    GuardedSentinel(heartbeat=Path(path) if path else None).run()


def beat(heartbeat: Path) -> None:
    """Leave the moment in the file's times, by the clock that nobody sets: a step of the time of day is no silence."""
    heartbeat.touch()
    now = time.monotonic()
    os.utime(heartbeat, (now, now))


def cluster_trouble(heartbeat: Path, *, started_at: datetime) -> str | None:
    """What is wrong with the cluster that beats at `heartbeat`, or None."""
    try:
        silent_s = time.monotonic() - heartbeat.stat().st_mtime
    except FileNotFoundError:
        return "no heartbeat yet"
    if silent_s > HEARTBEAT_LATE_S:
        return f"no heartbeat for {silent_s:.0f} s"
    return _stuck_work(started_at=started_at, now=timezone.now())


def _stuck_work(*, started_at: datetime, now: datetime) -> str | None:
    """Work waits and none was finished for longer than one task may take: the workers hang.

    A database that can't be asked says nothing about the workers, and a restart would not bring it back.
    """
    patience = timedelta(seconds=Conf.TIMEOUT + 60)
    try:
        if not OrmQ.objects.filter(lock__lt=now - patience).exists():
            return None
        finished_at = Task.objects.order_by("-stopped").values_list("stopped", flat=True).first()
    except (DatabaseError, InterfaceError):
        return None
    finally:
        connection.close()
    if now - max(finished_at or started_at, started_at) < patience:
        return None
    return f"work waits and no task ended for {patience.total_seconds():.0f} s"
