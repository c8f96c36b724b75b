"""This machine's clock may be wrong and then be set. What one that ran ahead has left behind would stand still until its time comes.

Schedules, queued tasks, leases and live readings of an hour that is not yet here: they are brought back to now. A clock that jumps ahead
needs nothing: work is merely late, and late rounds give way to the next ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ

from commands import dispatch
from hashinsight import schedules
from resilience import leases
from telemetry import ahead

log = structlog.get_logger(__name__)

STEP_S = 15.0
"""NTP moves a clock by less without a jump."""
TRY_AGAIN_S = 1.0
GRACE = timedelta(minutes=1)


class ClockWatch:
    """Asked to `look` several times a second; puts right what is ahead once at the start and whenever the clock was set back."""

    def __init__(self, *, time_of_day: Callable[[], float] = time.time, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._time_of_day, self._stopwatch = time_of_day, stopwatch
        self._began = self._offset()
        self._due_at: float | None = stopwatch()

    def look(self) -> None:
        offset = self._offset()
        step_s, self._began = offset - self._began, offset
        if abs(step_s) > STEP_S:
            log.warning("clock_stepped", seconds=round(step_s), hint="somebody or NTP set this machine's clock")
        if step_s < -STEP_S:
            self._due_at = self._stopwatch()
        if self._due_at is not None and self._stopwatch() >= self._due_at:
            self._put_right()

    def _offset(self) -> float:
        return self._time_of_day() - self._stopwatch()

    def _put_right(self) -> None:
        """Again after a moment while the database is away."""
        try:
            put_right(timezone.now())
        except (DatabaseError, InterfaceError) as error:
            log.warning("clock_not_put_right", error=str(error).strip())
            self._due_at = self._stopwatch() + TRY_AGAIN_S
        else:
            self._due_at = None


@transaction.atomic
def put_right(now: datetime) -> dict[str, int]:
    """Bring back to `now` what is further ahead than it can be; how many of each kind that were."""
    found = {
        "schedules": len(schedules.sync(now=now).updated),
        "tasks": OrmQ.objects.filter(lock__gt=now + timedelta(seconds=Conf.RETRY) + GRACE).update(lock=now),
        "jobs": leases.bring_back(now),
        "commands": dispatch.bring_back_leases(now),
        "miners": ahead.bring_back(now),
    }
    if any(found.values()):
        log.warning("clock_put_right", **found)
    return found
