"""Fixtures for every test. Rows come from `tests.makers`; what tests run against is started by `tests.environment`."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache import cache
from django.db import connection
from hypothesis import HealthCheck

from resilience.ratelimit import rate_limiter
from tests.servers import PostgreSQLServer, RedisServer
from tests.web import WarmWebServer, WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page
    from pytest_django.plugin import DjangoDbBlocker

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# A million rounds for each user that a test makes were half of the suite's time.
PBKDF2PasswordHasher.iterations = 1_000

# A loaded machine draws slowly; that says nothing of the code. In CI the same examples come each time.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """On SQLite a file, as in production: memory cannot be shared with other processes and locks otherwise between threads."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(settings.DATA_DIR / "test.sqlite3")
        database["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"  # what a power cut would do is not tested


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Counters of rate limits and cached values belong to one test."""
    cache.clear()
    rate_limiter.cache_clear()


@pytest.fixture
def child_environment(transactional_db: None) -> dict[str, str]:
    """The environment with which a child process works on this test's database and cache."""
    return _environment_of_children()


def _environment_of_children() -> dict[str, str]:
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        password = urllib.parse.quote(database["PASSWORD"], safe="")
        url = f"postgresql://{database['USER']}:{password}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def migrated_sqlite(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """A SQLite database as `migrate` leaves it, to copy: making one takes eight seconds of a processor."""
    with _server_directory() as directory, django_db_blocker.unblock():
        path = directory / "migrated.sqlite3"
        with closing(sqlite3.connect(connection.settings_dict["NAME"])) as database:
            database.execute("VACUUM INTO ?", (str(path),))
        yield path


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A new folder that a server run by another user can enter too (pytest's own belong to its user alone)."""
    with _server_directory() as directory:
        yield directory


@contextmanager
def _server_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir=os.environ["HASHINSIGHT_TEST_SCRATCH"]))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _warm_web(django_db_setup: None) -> Iterator[WarmWebServer]:
    with _server_directory() as directory, WarmWebServer(directory, _environment_of_children()) as web:
        yield web


@pytest.fixture
def live_web(_warm_web: WarmWebServer, transactional_db: None) -> Iterator[WebServer]:
    """gunicorn serving this test's database on loopback; `.url` is its address. Its log is shown when the test fails."""
    yield _warm_web
    if _warm_web.log.exists():
        sys.stdout.write(_warm_web.log.read_text())
    _warm_web.renew()  # before the database is emptied


@pytest.fixture
def postgresql_server(server_directory: Path) -> Iterator[PostgreSQLServer]:
    """A PostgreSQL of the test's own, to stop, kill, pause and restart; `.url(database)` is for DATABASE_URL."""
    with PostgreSQLServer(server_directory) as server:
        yield server


@pytest.fixture
def redis_server(server_directory: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to stop, kill, pause and restart; `.url()` is for REDIS_URL."""
    with RedisServer(server_directory) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, one for the process; skipped by name where it is not installed."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is missing (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, and Django would take every query of the test for one made inside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_OPTIONS)
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def browser_page(browser: Browser, expected_complaints: list[str]) -> Iterator[Page]:
    """An empty tab with a profile of its own; see `watched`."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    with watched(context, expected=expected_complaints):
        page = context.new_page()
        page.set_default_timeout(15_000)
        yield page
        context.close()


@pytest.fixture
def expected_complaints() -> list[str]:
    """A test that provokes an answer of 4xx puts in here what the browser's console will say of it: a part of the text."""
    return []


@contextmanager
def watched(context: BrowserContext, *, expected: Sequence[str] = ()) -> Iterator[None]:
    """Fails at its end for a script error, a complaint on the console, such as of the content policy, or a request to elsewhere."""
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(f"script error: {error.error}"))
    context.on("console", lambda message: complaints.append(f"{message.type}: {message.text}") if message.type in _LOUD else None)
    context.on("request", lambda request: complaints.extend(_if_elsewhere(request.url)))
    yield
    assert [complaint for complaint in complaints if not any(part in complaint for part in expected)] == []


_LOUD = ("error", "warning")


def _if_elsewhere(url: str) -> list[str]:
    parts = urllib.parse.urlsplit(url)
    at_home = parts.scheme in {"data", "blob", "about"} or parts.hostname in {"127.0.0.1", "localhost"}
    return [] if at_home else [f"request to {url}"]
