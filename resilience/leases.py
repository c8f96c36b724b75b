"""One run of a job at a time, on however many machines: a row claimed by a conditional update, with an owner and an end.

The row is also the job's heartbeat: when it last started, ended and succeeded, how long it took and what it said. A crashed owner never
gives its lease back: on its own machine the next run sees that it is gone, elsewhere the lease ends by itself. Hence `ttl_s` must be longer
than the job's own deadline.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, wraps
from pathlib import Path

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F, Q
from django.utils import timezone

from resilience.models import JobLease

log = structlog.get_logger(__name__)

TEXT_LIMIT = 500
LONGEST = timedelta(minutes=10)
"""No lease is taken for longer."""
RELEASE_S = 30.0
"""So long a run that has ended waits for a database that is away, to give its lease back: else the job would stand still until it ends."""
RELEASE_PAUSE_S = 0.5


class RunDropped(Exception):
    """This run of the job does not take place; it was counted in `JobLease.dropped`."""


class LeaseTaken(RunDropped):
    """Another owner is at work."""


class RunTooLate(RunDropped):
    """The run would start so long after it was asked for that the next one is the better one."""


@dataclass(slots=True)
class Lease:
    """A held lease. `result` is one line for people on how the run went; it is stored when the run ends."""

    name: str
    owner: str
    expires_at: datetime
    result: str = ""


def new_owner() -> str:
    """machine:pid:uuid, different for every claim, so that a run can only give back its own lease."""
    return f"{_machine()}:{os.getpid()}:{uuid.uuid4().hex}"


@cache
def _machine() -> str:
    """Host, boot and space of process ids: where two owners have this in common, one can tell whether the other still lives."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux: nobody is told apart, leases end by their time
        return f"{socket.gethostname()[:40]}.{uuid.uuid4().hex[:8]}"
    return f"{socket.gethostname()[:24]}.{boot}.{space}"


def _has_died(owner: str) -> bool:
    """Whether `owner` was a process of this machine that is gone."""
    machine, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def acquire(name: str, *, ttl_s: float, now: datetime, enqueued_at: datetime | None = None) -> Lease:
    """Claim the job `name` until `now` + `ttl_s`; raise LeaseTaken while another owner holds it.

    With `enqueued_at`, a run that has begun since then also does for this one: several that were missed become one.
    """
    lease = Lease(name=name, owner=new_owner(), expires_at=now + timedelta(seconds=ttl_s))
    if _claim(lease, now=now, enqueued_at=enqueued_at):
        return lease
    JobLease.objects.bulk_create([JobLease(name=name)], ignore_conflicts=True)  # the job's first run
    if _claim(lease, now=now, enqueued_at=enqueued_at):
        return lease
    holder = JobLease.objects.filter(name=name).first()
    if holder and _has_died(holder.owner):
        log.warning("job_owner_died", job=name, owner=holder.owner)
        JobLease.objects.filter(name=name, owner=holder.owner).update(owner="", expires_at=None)
        if _claim(lease, now=now, enqueued_at=enqueued_at):
            return lease
    count_dropped(name)
    if holder and holder.expires_at:
        raise LeaseTaken(f"{name}: already running ({holder.owner} until {holder.expires_at:%H:%M:%S}).")
    raise LeaseTaken(f"{name}: another run has just done it.")


def _claim(lease: Lease, *, now: datetime, enqueued_at: datetime | None) -> bool:
    free = Q(owner="") | Q(expires_at__lte=now)
    if enqueued_at is not None:
        free &= Q(started_at=None) | Q(started_at__lt=enqueued_at)
    claimed = JobLease.objects.filter(free, name=lease.name).update(owner=lease.owner, expires_at=lease.expires_at, started_at=now)
    return claimed == 1


def record_success(lease: Lease, *, now: datetime, duration_ms: float) -> None:
    """Give the lease back after a run that did its work."""
    _release(lease, finished_at=now, succeeded_at=now, duration_ms=duration_ms, result=lease.result[:TEXT_LIMIT], error="")


def record_failure(lease: Lease, *, now: datetime, duration_ms: float, error: str) -> None:
    """Give the lease back after a run that failed; the time of the last success stays."""
    _release(lease, finished_at=now, duration_ms=duration_ms, result=lease.result[:TEXT_LIMIT], error=error[:TEXT_LIMIT])


def _release(lease: Lease, **outcome: object) -> None:
    if not _released(lease, **outcome):
        log.warning("job_lease_lost", job=lease.name, owner=lease.owner, hint="the run took longer than its lease")


def _released(lease: Lease, **outcome: object) -> bool:
    patience = time.monotonic() + RELEASE_S
    while True:
        try:
            kept = JobLease.objects.filter(name=lease.name, owner=lease.owner).update(owner="", expires_at=None, **outcome)
            return kept == 1
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > patience:
                raise
        connection.close()
        time.sleep(RELEASE_PAUSE_S)


@contextmanager
def job_lease(
    name: str, *, ttl_s: float, enqueued_at: datetime | None = None, clock: Callable[[], datetime] = timezone.now
) -> Iterator[Lease]:
    """Hold the lease of `name` for the body and record how the body ended; raise LeaseTaken without running it (see `acquire`)."""
    lease = acquire(name, ttl_s=ttl_s, now=clock(), enqueued_at=enqueued_at)
    begun = time.monotonic()
    try:
        yield lease
    except BaseException as error:  # the task timeout is a SystemExit; the lease must be given back for it too
        record_failure(lease, now=clock(), duration_ms=_milliseconds_since(begun), error=f"{type(error).__name__}: {error}")
        raise
    record_success(lease, now=clock(), duration_ms=_milliseconds_since(begun))


def _milliseconds_since(begun: float) -> float:
    return (time.monotonic() - begun) * 1000


def leased_job(name: str, *, ttl_s: float) -> Callable[[Callable[[], object]], Callable[[], str]]:
    """Decorator of a scheduled task: one run at a time, with a heartbeat; what the task returns is its result, as one line."""

    def decorate(work: Callable[[], object]) -> Callable[[], str]:
        @wraps(work)
        def run() -> str:
            try:
                with job_lease(name, ttl_s=ttl_s) as lease:
                    lease.result = str(work())
            except LeaseTaken as taken:
                log.warning("job_dropped", job=name, reason=str(taken))
                return str(taken)
            return lease.result

        return run

    return decorate


def refuse_late(name: str, *, enqueued_at: datetime, now: datetime, grace_s: float) -> None:
    """Raise RunTooLate, and count it, for a run of `name` that starts more than `grace_s` after it was enqueued.

    Runs that waited behind a long one are dropped this way, so that the missed ones become the one that is due next.
    """
    late_s = (now - enqueued_at).total_seconds()
    if late_s > grace_s:
        count_dropped(name)
        raise RunTooLate(f"{name}: {late_s:.0f} s late, {grace_s:g} s are allowed; the next run takes its place.")


def count_dropped(name: str) -> None:
    if not JobLease.objects.filter(name=name).update(dropped=F("dropped") + 1):
        JobLease.objects.bulk_create([JobLease(name=name, dropped=1)], ignore_conflicts=True)


def forget_jobs(prefix: str, *, keep: Collection[str], now: datetime) -> int:
    """Delete the heartbeats of jobs that begin with `prefix` and exist no longer (a site that was closed), unless one is at work."""
    at_work = Q(expires_at__gt=now)
    gone = JobLease.objects.filter(name__startswith=prefix).exclude(name__in=keep).exclude(at_work)
    return gone.delete()[0]


def bring_back(now: datetime) -> int:
    """Leases and heartbeats of a time that has not come yet, left by a clock that ran ahead: free, and of `now`. How many jobs."""
    for name in ("finished_at", "succeeded_at"):
        JobLease.objects.filter(**{f"{name}__gt": now}).update(**{name: now})
    JobLease.objects.filter(expires_at__gt=now + LONGEST).update(owner="", expires_at=None)
    return JobLease.objects.filter(started_at__gt=now).update(started_at=now)
