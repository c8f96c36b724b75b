"""What the supervisor takes for a cluster that hangs."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Task

from hashinsight.cluster import beat, cluster_trouble

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(minutes=10)


@pytest.fixture
def heartbeat(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.beat"
    beat(path)
    return path


def queue_task(*, waiting_since: datetime) -> None:
    OrmQ.objects.create(key="hashinsight", payload="", lock=waiting_since)


def end_task(*, at: datetime) -> None:
    Task.objects.create(id="a" * 32, name="a task", func="a.function", started=at, stopped=at, success=True)


def test_missing_heartbeat_is_trouble(tmp_path: Path) -> None:
    assert cluster_trouble(tmp_path / "cluster.beat", started_at=timezone.now()) == "no heartbeat yet"


def test_old_heartbeat_is_trouble(heartbeat: Path) -> None:
    os.utime(heartbeat, times=(time.monotonic() - 45, time.monotonic() - 45))
    assert cluster_trouble(heartbeat, started_at=timezone.now()) == "no heartbeat for 45 s"


def test_idle_cluster_is_well(heartbeat: Path) -> None:
    assert cluster_trouble(heartbeat, started_at=timezone.now() - LONG_AGO) is None


def test_work_that_waits_while_no_task_ends_is_trouble(heartbeat: Path) -> None:
    now = timezone.now()
    queue_task(waiting_since=now - LONG_AGO)
    end_task(at=now - LONG_AGO)
    assert cluster_trouble(heartbeat, started_at=now - LONG_AGO) == "work waits and no task ended for 300 s"


def test_work_that_waits_while_others_end_is_only_a_busy_cluster(heartbeat: Path) -> None:
    now = timezone.now()
    queue_task(waiting_since=now - LONG_AGO)
    end_task(at=now - timedelta(seconds=20))
    assert cluster_trouble(heartbeat, started_at=now - LONG_AGO) is None


def test_cluster_that_has_just_started_is_given_time_for_old_work(heartbeat: Path) -> None:
    now = timezone.now()
    queue_task(waiting_since=now - LONG_AGO)
    assert cluster_trouble(heartbeat, started_at=now - timedelta(seconds=30)) is None
