"""What `manage.py up` does: prepare the database and the static files, then keep the web server and the cluster running."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection

from hashinsight.cluster import HEARTBEAT_VARIABLE, cluster_trouble
from hashinsight.schedules import sync_schedules
from hashinsight.supervisor import Program
from hashinsight.web import web_program


class NotReady(Exception):
    """The product can't start here; the message says why and what to do."""


def run_directory() -> Path:
    directory: Path = settings.DATA_DIR / "run"
    return directory


def prepare(say: Callable[[str], object]) -> None:
    """Bring the database, the schedules and the static files up to this version. Raises NotReady."""
    say("Migrating the database …")
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise NotReady(f"The database cannot be used: {reason}. Check DATABASE_URL and that the database server runs.") from None
    sync_schedules()
    if not settings.DEBUG:
        say("Collecting static files …")
        call_command("collectstatic", interactive=False, verbosity=0)
    connection.close()


def shared_environment() -> dict[str, str]:
    """What web server and cluster have in common: an empty directory in which both count for /metrics."""
    metrics = run_directory() / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "DJANGO_SETTINGS_MODULE": "hashinsight.settings"}


def cluster_program(*, environment: dict[str, str]) -> Program:
    heartbeat = run_directory() / "cluster.beat"
    return Program(
        name="cluster",
        arguments=("manage.py", "qcluster"),
        environment={**environment, HEARTBEAT_VARIABLE: str(heartbeat)},
        check=lambda started_at: cluster_trouble(heartbeat, started_at=started_at),
        # The guard may wait for a busy SQLite database, 20 s at a time, without being dead.
        silence_allowance_s=60,
    )


def programs(listener: socket.socket, *, web_workers: int, with_cluster: bool) -> list[Program]:
    environment = shared_environment()
    web = web_program(listener, workers=web_workers, environment=environment)
    return [web, cluster_program(environment=environment)] if with_cluster else [web]
