"""What runs by itself, and when. The schedules are code; `sync` writes them to django-q2's table after each migrate.

A schedule's name begins with PREFIX: those belong to this file and are put back, changed or removed by it. All others are the operators'.
Whatever is queued must be in ALLOWED_CALLABLES: the Schedule page of the admin could otherwise run any function of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, NoReturn

import structlog
from django.db import transaction
from django.utils import timezone
from django_q.models import Schedule

log = structlog.get_logger(__name__)

PREFIX = "hashinsight."


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One schedule: every so many minutes on the clock's grid, or daily at a time of the server's time zone."""

    name: str
    func: str
    every_minutes: int | None = None
    daily_at: time | None = None

    def columns(self) -> dict[str, Any]:
        daily = self.daily_at is not None
        return {
            "func": self.func,
            "schedule_type": Schedule.DAILY if daily else Schedule.MINUTES,
            "minutes": None if daily else self.every_minutes,
            "repeats": -1,
            "args": None,
            "kwargs": None,
            "hook": None,
            "cron": None,
            "cluster": None,
            "intended_date_kwarg": None,
        }

    def first_run(self, now: datetime) -> datetime:
        """The present minute, so that a fresh start polls at once; for a daily job its next time of day."""
        if self.daily_at is None:
            return now.replace(second=0, microsecond=0)
        local = timezone.localtime(now)
        today = local.replace(hour=self.daily_at.hour, minute=self.daily_at.minute, second=0, microsecond=0)
        return today if today > local else today + timedelta(days=1)

    def longest_wait(self) -> timedelta:
        return timedelta(days=1) if self.daily_at is not None else timedelta(minutes=self.every_minutes or 1)


JOBS = (
    Job(name="hashinsight.polls", func="telemetry.tasks.enqueue_polls", every_minutes=1),
    Job(name="hashinsight.roll-ups", func="telemetry.tasks.roll_up", every_minutes=1),
    Job(name="hashinsight.gaps", func="telemetry.tasks.update_gaps", every_minutes=1),
    Job(name="hashinsight.partitions", func="telemetry.tasks.ensure_partitions", every_minutes=60),
    Job(name="hashinsight.retention", func="telemetry.tasks.prune", daily_at=time(3, 20)),
    Job(name="hashinsight.sessions", func="people.tasks.forget_sessions", daily_at=time(3, 40)),
    Job(name="hashinsight.market", func="market.tasks.refresh", every_minutes=5),
    Job(name="hashinsight.command-execution", func="commands.tasks.execute_commands", every_minutes=1),
    Job(name="hashinsight.command-batches", func="commands.tasks.advance_batches", every_minutes=1),
    Job(name="hashinsight.command-expiry", func="commands.tasks.expire_commands", every_minutes=1),
    Job(name="hashinsight.command-verification", func="commands.tasks.verify_commands", every_minutes=1),
    Job(name="hashinsight.alerts", func="alerts.tasks.evaluate", every_minutes=1),
    Job(name="hashinsight.notifications", func="alerts.tasks.notify", every_minutes=1),
    Job(name="hashinsight.delivery-log", func="alerts.tasks.prune_deliveries", daily_at=time(3, 40)),
)

ENQUEUED = frozenset(
    {
        "miners.tasks.run_import",
        "miners.tasks.run_search",
        "telemetry.tasks.poll_site_task",
        "commands.tasks.execute_site_commands",
    }
)
"""Tasks that code puts in the queue."""

ALLOWED_CALLABLES = frozenset(job.func for job in JOBS) | ENQUEUED


class CallableRefused(Exception):
    """Something was queued that is not on the list."""


def refuse_foreign_callable(*, task: dict[str, Any], **_signal: Any) -> None:
    """Receiver of django-q2's `pre_enqueue`: turn a task that is not allowed into one that fails and says so.

    Raising here would be worse: the scheduler queues all due schedules in one transaction, and one bad row would stop the polls.
    """
    hook = task.pop("hook", None)
    func = task["func"]
    name = func if isinstance(func, str) else f"{func.__module__}.{func.__qualname__}"
    if name in ALLOWED_CALLABLES and not hook:
        return
    log.error("callable_refused", func=name, hook=str(hook or ""))
    task.update(func=f"{__name__}.{refused.__name__}", args=(name if not hook else f"{name} with hook {hook}",), kwargs={})


def refused(name: str) -> NoReturn:
    """What runs in the place of a callable that is not allowed, so that the refusal is seen among the failed tasks."""
    raise CallableRefused(f"{name} is not in hashinsight.schedules.ALLOWED_CALLABLES and was not run.")


@dataclass(slots=True)
class SyncReport:
    """Names of the schedules, by what was done with them. `foreign` were left alone; `refused` of those will never run."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@transaction.atomic
def sync(*, now: datetime) -> SyncReport:
    """Make the schedule table say what JOBS says. Running it twice changes nothing the second time."""
    report = SyncReport()
    present: dict[str, Schedule] = {}
    for row in Schedule.objects.filter(name__startswith=PREFIX).order_by("pk"):
        if any(row.name == job.name for job in JOBS) and row.name not in present:
            present[row.name] = row
        else:  # gone from the code, or there twice
            report.removed.append(row.name)
            row.delete()
    for job in JOBS:
        _sync_job(job, present.get(job.name), now=now, report=report)
    _look_at_foreign(report)
    return report


def _sync_job(job: Job, row: Schedule | None, *, now: datetime, report: SyncReport) -> None:
    columns = job.columns()
    if row is None:
        Schedule.objects.create(name=job.name, next_run=job.first_run(now), **columns)
        report.created.append(job.name)
        return
    changed = {name: value for name, value in columns.items() if getattr(row, name) != value}
    # A next run further away than one period is left over from a clock that was wrong.
    if changed or row.next_run is None or row.next_run > now + job.longest_wait():
        Schedule.objects.filter(pk=row.pk).update(**changed, next_run=job.first_run(now))
        report.updated.append(job.name)
        return
    report.unchanged.append(job.name)


def _look_at_foreign(report: SyncReport) -> None:
    for row in Schedule.objects.exclude(name__startswith=PREFIX):
        label = row.name or f"schedule {row.pk}"
        report.foreign.append(label)
        if row.func not in ALLOWED_CALLABLES or row.hook:
            report.refused.append(f"{label} ({row.func})")
