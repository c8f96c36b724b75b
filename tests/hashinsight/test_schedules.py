from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
from django_q.tasks import async_task

from hashinsight.schedules import ALLOWED_CALLABLES, JOBS, CallableRefused, Job, refused, sync
from resilience.models import JobLease
from tests.makers import NOON

pytestmark = pytest.mark.django_db


def queued() -> list[dict]:
    return [row.task for row in OrmQ.objects.all()]


def test_sync_makes_one_row_a_job():
    report = sync(now=NOON)
    assert sorted(report.created) == sorted(job.name for job in JOBS)
    assert set(Schedule.objects.values_list("name", "func")) == {(job.name, job.func) for job in JOBS}


def test_second_sync_changes_nothing():
    sync(now=NOON)
    before = list(Schedule.objects.values())
    report = sync(now=NOON + timedelta(seconds=20))
    assert (report.created, report.updated, report.removed) == ([], [], [])
    assert list(Schedule.objects.values()) == before


def test_sync_puts_back_what_was_changed_by_hand():
    sync(now=NOON)
    Schedule.objects.filter(name="hashinsight.polls").update(repeats=0, minutes=7, args="('x',)")
    assert sync(now=NOON).updated == ["hashinsight.polls"]
    row = Schedule.objects.get(name="hashinsight.polls")
    assert (row.repeats, row.minutes, row.args) == (-1, 1, None)


def test_next_run_left_in_the_far_future_by_a_wrong_clock_is_put_back():
    sync(now=NOON)
    Schedule.objects.filter(name="hashinsight.polls").update(next_run=NOON + timedelta(days=400))
    sync(now=NOON)
    assert Schedule.objects.get(name="hashinsight.polls").next_run == NOON


def test_schedule_gone_from_the_code_and_doubled_ones_are_removed():
    sync(now=NOON)
    Schedule.objects.create(name="hashinsight.long-gone", func="telemetry.tasks.enqueue_polls")
    Schedule.objects.create(name="hashinsight.polls", func="telemetry.tasks.enqueue_polls")
    assert sorted(sync(now=NOON).removed) == ["hashinsight.long-gone", "hashinsight.polls"]
    assert Schedule.objects.count() == len(JOBS)


def test_foreign_schedule_is_left_alone_and_named_when_it_may_not_run():
    Schedule.objects.create(name="own poll", func="telemetry.tasks.enqueue_polls")
    Schedule.objects.create(name="evil", func="os.system", args="('id',)")
    report = sync(now=NOON)
    assert sorted(report.foreign) == ["evil", "own poll"]
    assert report.refused == ["evil (os.system)"]
    assert Schedule.objects.filter(name="evil").exists()


@override_settings(TIME_ZONE="UTC")
def test_daily_job_runs_first_at_its_next_time_of_day():
    job = Job(name="hashinsight.x", func="f", daily_at=time(3, 20))
    assert job.first_run(NOON) == datetime(2026, 3, 2, 3, 20, tzinfo=UTC)
    assert job.first_run(NOON - timedelta(hours=10)) == datetime(2026, 3, 1, 3, 20, tzinfo=UTC)


def test_minute_job_runs_first_in_the_present_minute():
    assert Job(name="hashinsight.x", func="f", every_minutes=5).first_run(NOON + timedelta(seconds=42)) == NOON


def test_every_scheduled_callable_exists():
    import pydoc

    assert [name for name in ALLOWED_CALLABLES if not callable(pydoc.locate(name))] == []


@pytest.mark.django_db(transaction=True)  # the scheduler closes the connection it finds
def test_scheduler_queues_the_jobs_of_the_code():
    sync(now=timezone.now())  # the scheduler counts its way from there to the clock's time, minute by minute
    scheduler()
    assert "telemetry.tasks.enqueue_polls" in {task["func"] for task in queued()}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("bad", [{"func": "os.system", "args": "('id',)"}, {"func": "telemetry.tasks.enqueue_polls", "hook": "os.system"}])
def test_schedule_of_any_other_function_or_hook_is_refused_and_the_rest_still_runs(bad: dict):
    Schedule.objects.create(name="evil", next_run=timezone.now() - timedelta(minutes=1), **bad)
    sync(now=timezone.now())
    scheduler()
    tasks = {task["group"]: task for task in queued()}
    assert tasks["evil"]["func"] == "hashinsight.schedules.refused"
    assert "hook" not in tasks["evil"]
    assert tasks["hashinsight.polls"]["func"] == "telemetry.tasks.enqueue_polls"


def test_function_object_that_is_not_on_the_list_is_refused():
    async_task(len, "abc")
    assert queued()[0]["func"] == "hashinsight.schedules.refused"


def test_refused_task_fails_with_the_name_of_what_was_not_run():
    with pytest.raises(CallableRefused, match=r"os\.system is not in"):
        refused("os.system")


def test_sync_command_says_what_it_did_and_leaves_a_heartbeat(capsys: pytest.CaptureFixture[str]):
    call_command("sync_schedules")
    assert "created   hashinsight.polls" in capsys.readouterr().out
    assert JobLease.objects.get(name="sync_schedules").succeeded_at


def test_sync_command_beside_another_one_says_so_and_succeeds(capsys: pytest.CaptureFixture[str]):
    from django.utils import timezone

    from resilience.leases import acquire

    acquire("sync_schedules", ttl_s=30, now=timezone.now())
    call_command("sync_schedules")
    assert "already running" in capsys.readouterr().out
    assert not Schedule.objects.exists()
