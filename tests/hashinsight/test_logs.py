"""What an operator finds in the log: the product's events with their fields, one request's id all the way, and never a secret."""

from __future__ import annotations

import gzip
import json
import logging
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import structlog
from django.contrib.staticfiles.finders import get_finders
from django.db import connection
from django_q.models import OrmQ
from django_q.signals import post_execute_in_worker
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from django_q.worker import worker
from structlog.testing import capture_logs

from sites.models import Site
from telemetry.poller import poll_site
from tests.makers import make_key, make_miner, make_site, make_superuser
from tests.ports import free_port
from tests.web import WebServer

PASSWORD, POOL_PASSWORD, WRONG = "only-in-this-test-8471", "pool-secret-3359", "hsc_" + "wrongkey" * 5 + "xyz"


@pytest.fixture
def web(child_environment, server_directory):
    """The web server as in production, with every level of its log, in JSON."""
    data = server_directory / "data"
    production = {"DEBUG": "False", "SECRET_KEY": "only of this test " * 4, "ALLOWED_HOSTS": "127.0.0.1", "WEB_CONCURRENCY": "1"}
    log = {"HASHINSIGHT_LOG_FORMAT": "json", "HASHINSIGHT_LOG_LEVEL": "DEBUG", "HASHINSIGHT_DATA_DIR": str(data)}
    _name_static_files(data / "static")
    with WebServer(server_directory, {**child_environment, **production, **log}) as web:
        yield web


def _name_static_files(folder: Path) -> None:
    """Each under its own name, so that pages can be drawn without hashing and compressing them all."""
    folder.mkdir(parents=True)
    names = {name: name for finder in get_finders() for name, _ in finder.list([])}
    (folder / "staticfiles.json").write_text(json.dumps({"version": "1.1", "hash": "", "paths": names}))


def events(web: WebServer) -> list[dict]:
    return [json.loads(line) for line in web.log.read_text().splitlines() if line.startswith("{")]


def upload(web: WebServer, key: str, *records: dict) -> requests.Response:
    headers = {"X-Collector-Key": key, "Authorization": f"Bearer {key}", "Content-Encoding": "gzip"}
    return requests.post(f"{web.url}/api/collector/upload", data=gzip.compress(json.dumps(records).encode()), headers=headers, timeout=20)


def record(miner_id: str) -> dict:
    return {"miner_id": miner_id, "timestamp": datetime.now(UTC).isoformat(), "hashrate_ghs": 95_000.0, "online": True}


def sign_in(web: WebServer, password: str) -> requests.Session:
    session = requests.Session()
    session.get(f"{web.url}/admin/login/", timeout=20)
    form = {"username": "operator", "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    session.post(f"{web.url}/admin/login/?next=/health", data=form, timeout=20)
    return session


def test_no_key_and_no_password_is_in_the_log_of_a_whole_flow(web):
    site = make_site("north")
    key = make_key(site)[1]
    make_superuser("operator", PASSWORD)
    make_miner(site, "m1")
    assert upload(web, key, record("m1")).status_code == 200
    assert upload(web, WRONG, record("m1")).status_code == 401
    assert requests.get(f"{web.url}/api/collector/status", headers={"Authorization": f"Bearer {WRONG}"}, timeout=20).status_code == 401
    sign_in(web, "wrong-" + PASSWORD)
    person = sign_in(web, PASSWORD)
    params = {"pool_url": "stratum+tcp://pool.example.com:3333", "pool_user": "farm.1", "pool_password": POOL_PASSWORD}
    order = {"site_id": "north", "miner_id": "m1", "command": "set_pool", "params": params}
    headers = {"X-CSRFToken": person.cookies["csrftoken"]}
    assert person.post(f"{web.url}/api/collector/commands", json=order, headers=headers, timeout=20).status_code == 201
    handed = requests.get(f"{web.url}/api/collector/commands/pending", headers={"X-Collector-Key": key}, timeout=20).json()
    assert handed["commands"][0]["params"]["pool_password"] == POOL_PASSWORD
    log = web.log.read_text()

    assert len(events(web)) > 5
    for secret in (key, key[12:], WRONG[12:], PASSWORD, POOL_PASSWORD, person.cookies["sessionid"], person.cookies["csrftoken"]):
        assert secret not in log


def test_fault_is_logged_once_and_without_the_values_it_worked_on(web):
    key = make_key(make_site("north"))[1]
    upload(web, key, record("m1"))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE collector_upload_logs RENAME TO moved_away")
    try:
        status = upload(web, key, record("m1")).status_code
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE moved_away RENAME TO collector_upload_logs")
    told = [event for event in events(web) if event["event"] in ("request_failed", "database_busy", "database_unavailable")]

    assert status in (500, 503)
    assert len(told) == 1
    assert key[12:] not in web.log.read_text()


@pytest.mark.django_db
def test_stranger_who_calls_the_server_by_another_name_is_told_so_and_costs_one_line(client, caplog, settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = False, ["farm.example.com"]
    answer = client.post("/api/collector/upload", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert "Host header" in answer.json()["error"]
    [record] = [record for record in caplog.records if record.name.startswith("django.security")]
    [form] = [handler for handler in logging.getLogger().handlers if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)]
    assert "evil.example" in form.format(record)
    assert "\n" not in form.format(record)


def test_upload_is_one_event_with_the_fields_of_the_product(web):
    key = make_key(make_site("north"))[1]
    upload(web, key, record("m1"), record("m2"))
    told = next(event for event in events(web) if event["event"] == "telemetry_upload")
    with_it = [event["event"] for event in events(web) if event.get("request_id") == told["request_id"] and event["level"] != "debug"]

    assert with_it == ["miners_registered", "telemetry_upload"]
    assert (told["site_id"], told["miner_count"]) == ("north", 2)
    assert told["processing_ms"] > 0


@pytest.mark.django_db(transaction=True)
def test_miner_that_fails_for_the_third_time_is_an_event_and_so_is_a_round_without_an_answer(settings):
    settings.POLL_ATTEMPTS = 1
    site = make_site("north", collection=Site.Collection.SERVER)
    make_miner(site, "m1", ip_address="127.0.0.1", port=free_port())
    with capture_logs() as logs:
        for _ in range(3):
            poll_site(site, now=datetime.now(UTC))
    offline = [line for line in logs if line["event"] == "miner_offline"]
    failed = [line for line in logs if line["event"] == "collection_failed"]

    assert [(line["miner_id"], line["last_seen"], line["consecutive_failures"]) for line in offline] == [("m1", None, 3)]
    assert [(line["site_id"], line["error_type"]) for line in failed] == [("north", "connection")] * 3
    assert "none of 1 miners answers" in failed[0]["error_message"]


@pytest.mark.django_db(transaction=True)
def test_id_of_a_request_is_in_the_log_of_the_task_that_it_queued():
    with structlog.contextvars.bound_contextvars(request_id="the-request"):
        async_task("telemetry.tasks.poll_site_task", "no-such-site", task_name="a round")
    task = SignedPackage.loads(OrmQ.objects.get().payload)
    seen = []

    def note(*, task, **_signal):
        seen.append(structlog.contextvars.get_contextvars())

    post_execute_in_worker.connect(note)
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    tasks.put(task)
    tasks.put({name: value for name, value in task.items() if name != "request_id"})
    tasks.put("STOP")
    try:
        worker(tasks, results, multiprocessing.Value("f", -1), 30)
    finally:
        post_execute_in_worker.disconnect(note)
        structlog.contextvars.clear_contextvars()

    assert seen[0] == {"request_id": "the-request", "task": "a round"}
    assert seen[1] == {"task": "a round"}
