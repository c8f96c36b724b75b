"""What `manage.py up` does: prepare the database and the static files, then keep the web server and the cluster running."""

from __future__ import annotations

import hashlib
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from hashinsight import schedules
from hashinsight.cluster import HEARTBEAT_VARIABLE, cluster_trouble
from hashinsight.instance import CannotStart
from hashinsight.supervisor import Program
from hashinsight.web import web_program
from miners.catalogue import add_missing_models


def run_directory() -> Path:
    directory: Path = settings.DATA_DIR / "run"
    return directory


def heartbeat_path() -> Path:
    return run_directory() / "cluster.beat"


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and TERM raise KeyboardInterrupt inside, even where a shell started this in the background with Ctrl-C switched off."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(say: Callable[[str], object]) -> None:
    """Bring the database, the schedules and the static files up to this version. Raises CannotStart."""
    say("Migrating the database ...")
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise CannotStart(f"The database cannot be used: {reason}. Check DATABASE_URL and that the database server runs.") from None
    call_command("ensure_partitions", stdout=StringIO())
    schedules.sync(now=timezone.now())
    add_missing_models()
    if not settings.DEBUG:
        collect_static(say)
    connection.close()


def collect_static(say: Callable[[str], object]) -> None:
    """Copy, hash and compress what browsers load; seconds of work, so only when something changed since the last time."""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    fingerprint = _static_fingerprint()
    if stamp.is_file() and stamp.read_text() == fingerprint:
        return
    say("Collecting static files ...")
    shutil.rmtree(settings.STATIC_ROOT, ignore_errors=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(fingerprint)


def _static_fingerprint() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            digest.update(f"{name} {storage.size(name)} {storage.get_modified_time(name).timestamp()}\n".encode())
    return digest.hexdigest()


def metrics_directory() -> Path:
    """In memory where there is such a place: a process that counts in a mapped file of a full disk is killed by the kernel (SIGBUS)."""
    name = hashlib.sha256(str(run_directory().resolve()).encode()).hexdigest()[:16]
    return Path("/dev/shm") / f"hashinsight-{name}"


def forget_metrics() -> None:
    """What was counted ends with the instance."""
    shutil.rmtree(metrics_directory(), ignore_errors=True)


def shared_environment() -> dict[str, str]:
    """What web server and cluster have in common: an empty directory in which both count for /metrics."""
    forget_metrics()
    metrics = metrics_directory()
    try:
        metrics.mkdir(mode=0o700)
    except OSError:  # no such place, or somebody else has the name
        metrics = run_directory() / "metrics"
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(parents=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "DJANGO_SETTINGS_MODULE": "hashinsight.settings"}


def cluster_program(*, environment: dict[str, str]) -> Program:
    heartbeat = heartbeat_path()
    heartbeat.unlink(missing_ok=True)  # an old one would tell of a cluster that is gone
    return Program(
        name="cluster",
        arguments=("manage.py", "qcluster"),
        environment={**environment, HEARTBEAT_VARIABLE: str(heartbeat)},
        check=lambda started_at: cluster_trouble(heartbeat, started_at=started_at),
        # The guard may wait for a busy SQLite database, 20 s at a time, without being dead.
        silence_allowance_s=60,
    )


def default_web_workers() -> int:
    """Without Redis each process counts rate limits for itself: one process keeps to them exactly, and serves with its threads."""
    return 2 if settings.REDIS_URL else 1


def programs(listener: socket.socket, *, web_workers: int, with_cluster: bool) -> list[Program]:
    environment = shared_environment()
    web = web_program(listener, workers=web_workers, environment=environment)
    return [web, cluster_program(environment=environment)] if with_cluster else [web]
