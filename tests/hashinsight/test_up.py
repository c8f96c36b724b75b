"""`manage.py up` with real processes: what is killed comes back, and nothing is left when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from django_q.models import Task
from django_q.tasks import async_task

from tests.hashinsight.supervised import ROOT, Supervised, kill
from tests.ports import free_port
from tests.servers import wait_until

pytestmark = pytest.mark.once  # tests/chaos kills the same parts with PostgreSQL
Victim = Callable[[Supervised], psutil.Process]
VICTIMS: dict[str, Victim] = {
    "cluster's guard": lambda up: up.leaders("qcluster")[0],
    "first cluster process": lambda up: min(up.members("qcluster"), key=lambda process: process.pid),
    "last cluster process": lambda up: max(up.members("qcluster"), key=lambda process: process.pid),
    "web server's master": lambda up: up.leaders("gunicorn")[0],
    "web worker": lambda up: up.members("gunicorn")[0],
}


@pytest.fixture
def up(child_environment: dict[str, str], tmp_path: Path) -> Iterator[Supervised]:
    with Supervised("up", child_environment, tmp_path / "data", "--web-workers", "2", web_workers=2) as running:
        running.wait_until_complete()
        yield running


def test_whatever_is_killed_comes_back_and_works_without_an_orphan(up: Supervised) -> None:
    for choose in VICTIMS.values():
        kill(choose(up))
        up.wait_until_complete()
        wait_for_work()
        assert answers(up)
    assert up.interrupt() == 0
    assert up.processes() == []


def test_killed_supervisor_takes_everything_along(up: Supervised) -> None:
    assert up.supervisor
    up.supervisor.kill()
    up.supervisor.wait()
    wait_until(lambda: up.processes() == [], timeout_s=5, what="the end of every process")


def test_terminate_ends_everything_and_frees_the_port(up: Supervised) -> None:
    assert up.supervisor
    up.supervisor.send_signal(signal.SIGTERM)
    assert up.supervisor.wait(30) == 0
    assert up.processes() == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", up.port))


def test_next_start_ends_what_a_dead_supervisor_left_behind(up: Supervised, child_environment: dict[str, str]) -> None:
    assert up.supervisor
    stopped = up.leaders("qcluster")[0]
    stopped.suspend()  # a process that is stopped notices nothing, not even that its supervisor is gone
    while awake := [member for member in up.members("qcluster") if member.status() != psutil.STATUS_STOPPED]:
        for member in awake:  # also those that one of them had just forked
            member.suspend()
    up.supervisor.kill()
    up.supervisor.wait()
    assert stopped in up.processes()
    with Supervised("up", child_environment, up.data, "--web-workers", "2", web_workers=2) as again:
        again.wait_until_complete()
        assert not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE
        assert "Ended what an earlier start had left running" in again.log.read_text()


def test_second_start_in_the_same_directory_is_refused_with_one_line(up: Supervised, child_environment: dict[str, str]) -> None:
    assert up.supervisor
    environment = {**child_environment, "HASHINSIGHT_DATA_DIR": str(up.data)}
    refused = run_up(environment, "--port", str(free_port()))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"CommandError: HashInsight already runs from {up.data} (process {up.supervisor.pid}, {up.url}).")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "203.0.113.7"], "This machine has no address 203.0.113.7. Use --host 127.0.0.1"),
        (["--port", "70000"], "There is no port 70000: choose one from 1 to 65535 with --port."),
        (["--host", "no such host"], "can't be listened on"),
    ],
)
def test_address_that_cannot_be_used_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    refused = run_up(bare_environment(tmp_path), *arguments)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_busy_port_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = run_up(bare_environment(tmp_path), "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"CommandError: Port {port} on 127.0.0.1 is in use by another program. Stop that one, or choose another port: --port {port + 1}\n"
    )
    assert not (tmp_path / "hashinsight.sqlite3").exists()


def wait_for_work() -> None:
    """A killed idle worker takes the lock of the queue along: processes may be there and do nothing."""
    task = async_task("telemetry.tasks.enqueue_polls")
    wait_until(lambda: Task.objects.filter(pk=task).exists(), timeout_s=30, what="a task")


def bare_environment(data: Path) -> dict[str, str]:
    return {"HASHINSIGHT_DATA_DIR": str(data), "HASHINSIGHT_ENV_FILE": os.devnull}


def run_up(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "up", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def answers(up: Supervised) -> bool:
    return requests.get(f"{up.url}admin/login/", timeout=10).status_code == 200
