"""The environment tests run in. Loaded by pytest before Django's settings are read (`-p` in pyproject.toml).

`HASHINSIGHT_TEST_SERVICES` says what they run against: `sqlite` (the default; no Redis), or `postgresql`, which starts a PostgreSQL and a
Redis for the session. Whatever a developer has in `.env` or exported is out of sight, and data goes to a directory that is removed.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.servers import PostgreSQLServer, RedisServer, Server

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_DATABASE = ("tests/cgminer/", "tests/edge_collector/")
"""Folders whose tests never touch the database: they run with SQLite only."""
_CHOICES = ("sqlite", "postgresql")
_SCRATCH = "HASHINSIGHT_TEST_SCRATCH"
_servers: list[Server] = []


def chosen_services() -> str:
    return os.environ.get("HASHINSIGHT_TEST_SERVICES") or _CHOICES[0]


def settings_variables() -> set[str]:
    """The names of all environment variables that configure the product: those that the settings and gunicorn's file read."""
    code = (ROOT / "hashinsight" / "settings.py").read_text() + (ROOT / "deploy" / "gunicorn.conf.py").read_text()
    return set(re.findall(r'\benv(?:iron)?\.\w+\(\s*"([A-Z_]+)"', code))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None]:
    if chosen_services() not in _CHOICES:
        raise pytest.UsageError(f"HASHINSIGHT_TEST_SERVICES is {chosen_services()!r}: use one of {', '.join(_CHOICES)}.")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        forget_developer_settings()
        _start_session()
    _use_own_corner(worker or "main")
    return (yield)


def pytest_unconfigure() -> None:
    _end_session()


def pytest_report_header() -> str:
    return f"services: {chosen_services()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chosen_services() == "sqlite":
        skip = pytest.mark.skip(reason="needs PostgreSQL: run it with HASHINSIGHT_TEST_SERVICES=postgresql")
        for item in items:
            if item.get_closest_marker("postgresql"):
                item.add_marker(skip)
        return
    once = [item for item in items if item.nodeid.startswith(WITHOUT_DATABASE) or item.get_closest_marker("once")]
    if once:
        config.hook.pytest_deselected(items=once)
        items[:] = [item for item in items if item not in set(once)]


def forget_developer_settings() -> None:
    for name in settings_variables():
        os.environ.pop(name, None)
    os.environ["HASHINSIGHT_ENV_FILE"] = os.devnull
    os.environ["HASHINSIGHT_LOCAL_MINERS"] = "true"  # the simulated ones


def _start_session() -> None:
    """Once for all workers; they inherit where things are through the environment."""
    scratch = Path(tempfile.mkdtemp(prefix="hashinsight-tests-"))
    scratch.chmod(0o711)  # as root, PostgreSQL runs as another user and must get through to its data
    os.environ[_SCRATCH] = str(scratch)
    atexit.register(_end_session)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` ends a run as Ctrl-C does: with everything stopped
    if chosen_services() == "postgresql":
        postgresql, redis = PostgreSQLServer(_made(scratch / "postgresql")), RedisServer(_made(scratch / "redis"))
        for server in (postgresql, redis):
            _servers.append(server)
            server.start()
        postgresql.execute("CREATE DATABASE hashinsight")
        os.environ["DATABASE_URL"] = postgresql.url("hashinsight")
        os.environ["REDIS_URL"] = redis.url()


def _use_own_corner(worker: str) -> None:
    """A data directory, and a database of the shared Redis, for this process alone."""
    os.environ["HASHINSIGHT_DATA_DIR"] = str(_made(Path(os.environ[_SCRATCH]) / worker))
    if "REDIS_URL" in os.environ:
        number = int(worker.removeprefix("gw")) + 1 if worker.startswith("gw") else 0
        os.environ["REDIS_URL"] = f"{os.environ['REDIS_URL'].rsplit('/', 1)[0]}/{number}"


def _end_session() -> None:
    """Stop what this process started; a worker started nothing. May be called twice."""
    if os.environ.get("PYTEST_XDIST_WORKER") is not None:
        return
    while _servers:
        _servers.pop().stop()
    scratch = os.environ.pop(_SCRATCH, None)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory
