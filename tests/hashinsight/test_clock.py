"""A clock that ran ahead and was set back leaves nothing that stands still until its hour comes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from commands.models import CommandStatus, MinerCommand
from hashinsight.clock import ClockWatch, put_right
from resilience import ratelimit
from resilience.breakers import SharedStorage
from resilience.leases import acquire
from resilience.models import JobLease
from telemetry.models import MinerTelemetryLive
from tests.makers import make_command, make_live, make_miner, make_site

HOUR = timedelta(hours=1)


class Clocks:
    """A time of day that can be set beside a stopwatch that can't."""

    def __init__(self):
        self.passed, self.set_by = 0.0, 0.0

    def time_of_day(self):
        return 1_000_000.0 + self.passed + self.set_by

    def stopwatch(self):
        return 500.0 + self.passed


@pytest.fixture
def now(db):
    call_command("sync_schedules")
    return timezone.now()


def test_schedules_of_an_hour_that_is_not_yet_here_are_due_now(now):
    Schedule.objects.filter(name="hashinsight.polls").update(next_run=now + HOUR)
    assert put_right(now)["schedules"] == 1

    assert Schedule.objects.get(name="hashinsight.polls").next_run <= now


def test_task_queued_by_the_clock_that_ran_ahead_is_taken_and_one_at_work_is_left(now):
    ahead = OrmQ.objects.create(key="hashinsight", payload="a", lock=now + HOUR)
    at_work = OrmQ.objects.create(key="hashinsight", payload="b", lock=now + timedelta(seconds=299))
    assert put_right(now)["tasks"] == 1

    assert OrmQ.objects.get(pk=ahead.pk).lock == now
    assert OrmQ.objects.get(pk=at_work.pk).lock == at_work.lock


def test_job_that_began_ahead_can_run_again_and_its_heartbeat_is_no_later_than_now(now):
    acquire("poll:north", ttl_s=70, now=now + HOUR)
    JobLease.objects.filter(name="poll:north").update(succeeded_at=now + HOUR)
    put_right(now)

    assert acquire("poll:north", ttl_s=70, now=now + timedelta(seconds=1), enqueued_at=now + timedelta(seconds=1))
    assert JobLease.objects.get(name="poll:north").succeeded_at == now


def test_lease_that_is_held_now_is_left_alone(now):
    acquire("poll:north", ttl_s=300, now=now)
    put_right(now)

    assert JobLease.objects.get(name="poll:north").expires_at == now + timedelta(seconds=300)


def test_live_row_from_the_future_gives_way_to_the_next_reading(now):
    miner = make_miner(make_site())
    make_live(miner, timestamp=now + HOUR, last_online_at=now + HOUR)
    other = make_live(make_miner(miner.site), timestamp=now + timedelta(minutes=1))
    assert put_right(now)["miners"] == 1

    live = MinerTelemetryLive.objects.get(miner=miner)
    assert (live.timestamp, live.last_online_at) == (now, now)
    assert MinerTelemetryLive.objects.get(miner=other.miner).timestamp == other.timestamp


def test_command_leased_ahead_is_offered_again(now):
    make_command(make_miner(), status=CommandStatus.SENT, leased_until=now + HOUR)
    put_right(now)

    assert MinerCommand.objects.get().leased_until == now


@pytest.mark.parametrize(("set_by", "looked"), [(-3_600.0, 1), (3_600.0, 0), (-2.0, 0)])
def test_watch_puts_right_when_the_clock_was_set_back_and_only_then(now, monkeypatch, set_by, looked):
    seen = []
    monkeypatch.setattr("hashinsight.clock.put_right", seen.append)
    clocks = Clocks()
    watch = ClockWatch(time_of_day=clocks.time_of_day, stopwatch=clocks.stopwatch)
    watch.look()
    seen.clear()
    clocks.passed += 1
    clocks.set_by = set_by
    for _ in range(3):
        watch.look()

    assert len(seen) == looked


def test_breaker_opened_by_the_clock_that_ran_ahead_is_tried_at_once():
    storage = SharedStorage("provider")
    storage.opened_at = timezone.now() + HOUR

    assert storage.opened_at is None


def test_window_filled_by_the_clock_that_ran_ahead_is_empty_when_it_is_set_back(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(ratelimit.time, "time", clocks.time_of_day)
    monkeypatch.setattr(ratelimit.time, "monotonic", clocks.stopwatch)
    limiter = ratelimit.RateLimiter()
    clocks.set_by = 3_600.0
    assert [limiter.hit("key", per_minute=2).allowed for _ in range(3)] == [True, True, False]
    clocks.set_by = 0.0

    assert limiter.hit("key", per_minute=2).allowed
