"""Whoever does not answer is waited for so long and no longer: each peer is hung for real, and the wait is measured."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.db import OperationalError, connection
from django.db.utils import load_backend
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy
from cgminer.errors import MinerTimeout
from hashinsight import deadlines
from hashinsight import settings as configuration
from tests.makers import make_key, make_site
from tests.servers import wait_until
from tests.web import WebServer

GRACE_S = 5.0
CONNECT_S = 5.0
SLACK_S = 3.0
"""A busy machine may be so much later."""


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_statement_ends_after_its_limit(child_environment, monkeypatch):
    monkeypatch.setattr(configuration, "DATABASE_STATEMENT_TIMEOUT", 1)
    database = {**connection.settings_dict, **configuration._database(child_environment["DATABASE_URL"])}
    own = load_backend("django.db.backends.postgresql").DatabaseWrapper({**connection.settings_dict, "OPTIONS": database["OPTIONS"]}, "own")
    started = time.monotonic()
    try:
        with pytest.raises(OperationalError, match="statement timeout"), own.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
    finally:
        own.close()

    assert 1 <= time.monotonic() - started < 1 + SLACK_S


@pytest.mark.once
def test_miner_that_accepts_and_never_answers_is_left_within_its_limits():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = MinerClient(Address(*server.getsockname()), retries=RetryPolicy(attempts=1))
        started = time.monotonic()
        with pytest.raises(MinerTimeout):
            client.read_snapshot()

    assert time.monotonic() - started < 5 + SLACK_S


@pytest.fixture
def impatient(child_environment, server_directory):
    """One web worker with limits of seconds instead of minutes."""
    limits = {"HASHINSIGHT_REQUEST_TIMEOUT_S": "4", "DATABASE_STATEMENT_TIMEOUT": "1", "WEB_CONCURRENCY": "1", "REDIS_URL": ""}
    with WebServer(server_directory, {**child_environment, **limits}) as web:
        yield web
        print(web.log.read_text()[-3_000:])  # noqa: T201 - shown when the test fails


def test_client_that_drips_its_body_is_cut_off_and_gives_its_thread_back(impatient):
    secret = make_key(make_site("north"))[1]
    head = f"POST /api/collector/upload HTTP/1.1\r\nHost: localhost\r\nX-Collector-Key: {secret}\r\nContent-Length: 1000\r\n\r\n"
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.port)) as client:
        client.sendall(head.encode())
        client.settimeout(0.2)
        wait_until(lambda: _drip(client), timeout_s=4 + SLACK_S, what="the end of the connection")

    assert time.monotonic() - started > 3
    assert "request_cut_off" in impatient.log.read_text()
    assert requests.get(f"{impatient.url}/health", timeout=5).status_code == 200


def _drip(client: socket.socket) -> bool:
    """Send one more byte; whether the server has ended the connection."""
    try:
        client.sendall(b" ")
        return client.recv(4_096) is not None
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.once
def test_what_a_request_held_goes_with_it_though_it_was_looked_at(monkeypatch):
    monkeypatch.setattr(deadlines, "LOOK_EVERY_S", 0.05)
    held: list[weakref.ref[socket.socket]] = []

    def answer(request: HttpRequest) -> HttpResponse:
        with socket.socket() as client:
            held.append(weakref.ref(client))
            monkeypatch.setattr(deadlines, "LOOK_EVERY_S", 5.0)
            time.sleep(0.5)
        return HttpResponse()

    monkeypatch.setattr(deadlines, "_watch", deadlines._Watch())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(deadlines.deadlines(answer), RequestFactory().get("/")).result()
    wait_until(lambda: held[0]() is None, timeout_s=2, what="the end of what the request held")


@pytest.mark.once
def test_one_thread_watches_however_often_the_application_is_loaded():
    before = set(threading.enumerate())
    for _ in range(3):
        deadlines.deadlines(lambda _request: HttpResponse())(RequestFactory().get("/"))

    assert len(set(threading.enumerate()) - before) <= 1


@pytest.mark.postgresql
def test_requests_at_a_database_that_hangs_end_and_none_of_the_threads_is_lost(postgresql_server, server_directory, child_environment):
    postgresql_server.execute("CREATE DATABASE farm")
    environment = {**child_environment, "DATABASE_URL": postgresql_server.url("farm"), "DATABASE_STATEMENT_TIMEOUT": "1", "REDIS_URL": ""}
    folder = server_directory / "web"
    folder.mkdir()
    with WebServer(folder, {**environment, "WEB_CONCURRENCY": "1", "DEBUG": "True"}) as web, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: _status(web, seconds=20)[0], range(8))) == [503] * 8  # no migration was run
        postgresql_server.pause()
        try:
            answers = list(pool.map(lambda _: _status(web, seconds=30), range(8)))
        finally:
            postgresql_server.resume()
        assert {status for status, _ in answers} == {503}
        # gunicorn may have given two requests to one thread: the second one waits for a connection only when the first has its answer.
        assert max(seconds for _, seconds in answers) < 1 + GRACE_S + 2 * CONNECT_S + SLACK_S
        assert requests.get(f"{web.url}/health", timeout=5).status_code == 200


def _status(web: WebServer, *, seconds: float) -> tuple[int, float]:
    started = time.monotonic()
    return requests.get(f"{web.url}/health/ready", timeout=seconds).status_code, time.monotonic() - started
