from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from django_q.models import OrmQ

from cgminer.simulator import MinerSpec, SimulatedFleet
from resilience.leases import job_lease
from resilience.models import JobLease
from telemetry import tasks
from telemetry.models import MinerTelemetryHistory, MinerTelemetryLive
from telemetry.poll_plan import DueRound, Shard, due_rounds, shards_for
from tests.makers import NOON, make_miner, make_miners, make_site
from tests.ports import free_port
from tests.servers import wait_until

pytestmark = pytest.mark.django_db


def ran(job: str, at) -> None:
    with job_lease(job, ttl_s=60, clock=lambda: at):
        pass


def later(seconds: float):
    return NOON + timedelta(seconds=seconds)


def test_site_never_polled_is_due():
    make_miner(make_site("A"))
    assert due_rounds(now=NOON) == [DueRound("A", Shard(0, 1))]


def test_site_is_due_once_each_interval_of_the_clock_however_late_its_last_round_began():
    make_miner(make_site("A", interval_seconds=300))
    ran("poll:A", later(50))
    assert [bool(due_rounds(now=later(seconds))) for seconds in (60, 120, 299, 300, 330)] == [False, False, False, True, True]


def test_minute_that_was_missed_is_made_up_for_once():
    make_miner(make_site("A"))
    ran("poll:A", NOON)
    assert len(due_rounds(now=later(60 * 60))) == 1


@pytest.mark.parametrize("fields", [{"collection": "collector"}, {"is_active": False}])
def test_site_of_a_collector_or_closed_is_not_polled(fields: dict):
    make_miner(make_site("A", **fields))
    assert due_rounds(now=NOON) == []


def test_site_with_nobody_to_poll_has_no_round():
    make_miner(make_site("A"), ip_address="")
    make_miner(make_site("B"), is_enabled=False)
    make_site("C")
    assert due_rounds(now=NOON) == []


def test_heartbeat_of_a_closed_site_is_forgotten():
    make_miner(make_site("A"))
    for job in ("poll:A", "poll:A:2", "poll:gone", "prune"):
        ran(job, NOON)
    due_rounds(now=later(60))
    assert set(JobLease.objects.values_list("name", flat=True)) == {"poll:A", "prune"}


def test_large_site_is_split_in_as_few_parts_as_fit(settings):
    settings.POLL_SHARD_SIZE = 1_000
    assert [len(shards_for(count)) for count in (0, 1, 1_000, 1_001, 5_000)] == [1, 1, 1, 2, 5]


def test_each_part_is_due_by_itself(settings):
    settings.POLL_SHARD_SIZE = 5
    make_miners(make_site("A"), 12)
    ran("poll:A:2", later(60))
    assert [str(each.shard) for each in due_rounds(now=later(70))] == ["1/3", "3/3"]


def test_one_task_is_enqueued_for_each_due_round_under_the_clusters_timeout():
    for code in ("A", "B"):
        make_miner(make_site(code))
    assert tasks.enqueue_polls() == "2 rounds enqueued"
    queued = [row.task for row in OrmQ.objects.order_by("pk")]
    assert [(task["func"], task["args"]) for task in queued] == [
        ("telemetry.tasks.poll_site_task", ("A", 0, 1)),
        ("telemetry.tasks.poll_site_task", ("B", 0, 1)),
    ]
    assert django_settings.POLL_DEADLINE_S < queued[0]["timeout"] < django_settings.Q_CLUSTER["timeout"]


def test_task_that_starts_too_late_does_nothing_and_is_counted():
    make_miner(make_site("A"))
    late = timezone.now() - timedelta(seconds=31)
    assert "late" in tasks.poll_site_task("A", enqueued_at=late.isoformat())
    assert not MinerTelemetryLive.objects.exists()
    assert JobLease.objects.get(name="poll:A").dropped == 1


def test_tasks_that_piled_up_become_one_round():
    make_site("A")
    enqueued_at = timezone.now().isoformat()
    first, second = (tasks.poll_site_task("A", enqueued_at=enqueued_at) for _ in range(2))
    assert first.startswith("0 polled")
    assert "another run has just done it" in second


def test_task_of_a_site_that_was_closed_meanwhile_says_so():
    make_site("A", is_active=False)
    assert tasks.poll_site_task("A") == "A: no such active site"


def test_cluster_polls_what_was_enqueued(child_environment: dict[str, str]):
    site = make_site("A")
    spec = MinerSpec(miner_id="m1", host="127.9.2.1", port=free_port(), seed=1)
    make_miner(site, "m1", ip_address=spec.host, port=spec.port)
    tasks.enqueue_polls()
    with SimulatedFleet([spec]):
        cluster = subprocess.Popen([sys.executable, "manage.py", "qcluster"], env=child_environment)
        try:
            wait_until(
                JobLease.objects.filter(name="poll:A", succeeded_at__isnull=False).exists, timeout_s=30, what="a round by the cluster"
            )
        finally:
            cluster.terminate()
            cluster.wait(timeout=30)
    assert MinerTelemetryLive.objects.get().online
    assert MinerTelemetryHistory.objects.count() == 1
    assert JobLease.objects.get(name="poll:A").result.startswith("1 polled, 1 online")
