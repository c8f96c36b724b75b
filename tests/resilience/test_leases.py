from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from resilience.leases import LeaseTaken, RunTooLate, acquire, forget_jobs, job_lease, leased_job, record_success, refuse_late
from resilience.models import JobLease
from tests.makers import NOON

pytestmark = pytest.mark.django_db

CLAIM = """
import sys, django
django.setup()
from datetime import datetime, UTC
from resilience.leases import LeaseTaken, acquire
sys.stdin.readline()
try:
    print(acquire("night shift", ttl_s=60, now=datetime(2026, 3, 1, 12, tzinfo=UTC)).owner)
except LeaseTaken:
    print("taken")
"""


def later(seconds: float):
    return NOON + timedelta(seconds=seconds)


def test_first_run_makes_the_row_and_holds_it():
    lease = acquire("prune", ttl_s=60, now=NOON)
    row = JobLease.objects.get(name="prune")
    assert (row.owner, row.started_at, row.expires_at) == (lease.owner, NOON, later(60))


def test_second_run_is_refused_and_counted_while_the_first_is_at_work():
    acquire("prune", ttl_s=60, now=NOON)
    with pytest.raises(LeaseTaken, match="already running"):
        acquire("prune", ttl_s=60, now=later(59))
    assert JobLease.objects.get(name="prune").dropped == 1


def test_lease_of_a_crashed_owner_ends_by_itself():
    crashed = acquire("prune", ttl_s=60, now=NOON)
    assert acquire("prune", ttl_s=60, now=later(60)).owner != crashed.owner


def test_lease_of_a_process_that_was_killed_is_free_at_once_on_its_own_machine():
    code = "import django; django.setup(); from resilience.leases import new_owner; print(new_owner())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    JobLease.objects.create(name="prune", owner=done.stdout.strip(), expires_at=later(60))
    machine, pid, name = done.stdout.strip().split(":")
    JobLease.objects.create(name="elsewhere", owner=f"other{machine}:{pid}:{name}", expires_at=later(60))

    assert acquire("prune", ttl_s=60, now=NOON)
    with pytest.raises(LeaseTaken, match="already running"):
        acquire("elsewhere", ttl_s=60, now=NOON)


def test_owner_that_lost_its_lease_cannot_give_back_the_next_ones():
    slow = acquire("prune", ttl_s=60, now=NOON)
    taker = acquire("prune", ttl_s=60, now=later(61))
    record_success(slow, now=later(62), duration_ms=62_000)
    row = JobLease.objects.get(name="prune")
    assert (row.owner, row.succeeded_at) == (taker.owner, None)


def test_success_is_recorded_with_time_duration_and_result():
    times = iter([NOON, later(3)])
    with job_lease("prune", ttl_s=60, clock=lambda: next(times)) as lease:
        lease.result = "12 partitions dropped"
    row = JobLease.objects.get(name="prune")
    assert (row.owner, row.expires_at) == ("", None)
    assert (row.started_at, row.finished_at, row.succeeded_at) == (NOON, later(3), later(3))
    assert (row.result, row.error) == ("12 partitions dropped", "")
    assert row.duration_ms >= 0


def test_failure_is_recorded_raised_and_frees_the_job():
    with job_lease("prune", ttl_s=60, clock=lambda: NOON):
        pass
    with pytest.raises(ZeroDivisionError), job_lease("prune", ttl_s=60, clock=lambda: later(100)):
        _ = 1 / 0
    row = JobLease.objects.get(name="prune")
    assert (row.owner, row.finished_at, row.succeeded_at) == ("", later(100), NOON)
    assert row.error == "ZeroDivisionError: division by zero"


def test_task_timeout_gives_the_lease_back():
    with pytest.raises(SystemExit), job_lease("prune", ttl_s=60):
        raise SystemExit("Task exceeded maximum timeout value")
    assert JobLease.objects.get(name="prune").owner == ""


def test_next_success_clears_the_error():
    with pytest.raises(ValueError, match="x"), job_lease("prune", ttl_s=60):
        raise ValueError("x")
    with job_lease("prune", ttl_s=60):
        pass
    assert JobLease.objects.get(name="prune").error == ""


def test_run_that_was_done_since_it_was_asked_for_is_coalesced():
    with job_lease("poll:A", ttl_s=60, clock=lambda: later(2)):
        pass
    with pytest.raises(LeaseTaken, match="just done"):
        acquire("poll:A", ttl_s=60, now=later(5), enqueued_at=later(1))
    assert acquire("poll:A", ttl_s=60, now=later(5), enqueued_at=later(4))


def test_leased_task_returns_and_records_its_result_as_one_line():
    @leased_job("expire", ttl_s=60)
    def expire() -> int:
        return 7

    assert expire() == "7"
    assert JobLease.objects.get(name="expire").result == "7"


def test_leased_task_beside_another_run_does_nothing_and_says_so():
    ran = []
    acquire("expire", ttl_s=60, now=timezone.now())
    assert "already running" in leased_job("expire", ttl_s=60)(lambda: ran.append(1))()
    assert ran == []


def test_run_within_the_grace_is_not_late():
    refuse_late("poll:A", enqueued_at=NOON, now=later(30), grace_s=30)
    assert not JobLease.objects.filter(dropped__gt=0).exists()


def test_late_run_is_dropped_and_counted_even_as_the_first_of_its_job():
    for _ in range(2):
        with pytest.raises(RunTooLate, match="31 s late"):
            refuse_late("poll:A", enqueued_at=NOON, now=later(31), grace_s=30)
    assert JobLease.objects.get(name="poll:A").dropped == 2


def test_heartbeats_of_jobs_that_exist_no_longer_are_forgotten_except_at_work():
    for name in ("poll:A", "poll:B", "prune"):
        with job_lease(name, ttl_s=60, clock=lambda: NOON):
            pass
    acquire("poll:C", ttl_s=60, now=NOON)
    forget_jobs("poll:", keep=["poll:A"], now=later(10))
    assert set(JobLease.objects.values_list("name", flat=True)) == {"poll:A", "poll:C", "prune"}


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_threads_one_gets_the_lease():
    start = threading.Barrier(16)
    owners: list[str] = []

    def claim() -> None:
        start.wait(timeout=10)
        try:
            owners.append(acquire("night shift", ttl_s=60, now=NOON).owner)
        except LeaseTaken:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    row = JobLease.objects.get(name="night shift")
    assert owners == [row.owner]
    assert row.dropped == 15


def test_of_four_processes_one_gets_the_lease(child_environment: dict[str, str]):
    command = [sys.executable, "-c", CLAIM]
    processes = [
        subprocess.Popen(command, env=child_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert answers.count("taken") == 3
    assert JobLease.objects.get(name="night shift").owner in answers
