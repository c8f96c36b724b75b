"""What uploads are answered beside the happy case: limits, a database that is away, and an answer only after the commit."""

from __future__ import annotations

import gzip
import http.client
import json
import sqlite3
from urllib.parse import urlsplit

import pytest
from django.db import connection
from prometheus_client import REGISTRY

from sites.models import CollectorKey, Site
from telemetry.models import MinerTelemetryHistory
from tests.makers import make_key, make_site
from tests.telemetry.collector import UPLOAD, Collector

pytestmark = pytest.mark.django_db
RECORDS = [{"miner_id": "m1", "hashrate_ghs": 5}]


@pytest.fixture
def collector():
    return Collector(make_key(make_site("north"))[1])


def metric(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_headers_count_down_and_the_sixty_first_upload_is_429(collector):
    remaining = []
    for _ in range(60):
        answer = collector.send([])
        assert answer.status_code == 200
        remaining.append(int(answer["X-RateLimit-Remaining"]))
    assert remaining == list(range(59, -1, -1))

    limited = collector.send(RECORDS)

    assert limited.status_code == 429
    assert limited.data == {"success": False, "error": "Rate limit exceeded", "retry_after": int(limited["Retry-After"])}
    assert 1 <= int(limited["Retry-After"]) <= 60
    assert (limited["X-RateLimit-Limit"], limited["X-RateLimit-Remaining"]) == ("60", "0")
    assert not MinerTelemetryHistory.objects.exists()


def test_limit_is_one_of_the_key_and_not_of_its_site(collector):
    for _ in range(61):
        collector.send([])

    assert Collector(make_key(Site.objects.get())[1]).send(RECORDS).status_code == 200


def test_answers_to_commands_are_not_counted_with_uploads(collector):
    for _ in range(61):
        collector.send([])

    assert collector.get("/api/collector/commands/pending").status_code == 200
    assert collector.get("/api/collector/status").status_code == 200


def test_uploads_and_limits_are_counted(collector):
    prefix = CollectorKey.objects.get().prefix
    collector.send(RECORDS)
    collector.send([*RECORDS, {}])
    collector.post(b"x")
    for _ in range(58):
        collector.send([])

    found = {status: metric("collector_upload_total", site_id="north", status=status) for status in ("stored", "partial", "refused")}
    assert found["stored"] >= 1
    assert found["partial"] >= 1
    assert found["refused"] >= 1
    assert metric("rate_limit_hits_total", key_prefix=prefix) == 1.0
    assert metric("collector_upload_size_bytes_count") >= 2


def test_wrong_method_is_405_in_json(collector):
    answer = collector.get(UPLOAD)

    assert (answer.status_code, answer.data["success"]) == (405, False)


@pytest.mark.django_db(transaction=True)
def test_database_that_is_away_is_503_with_retry_after(collector, monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nonexistent/nowhere")
    try:
        answer = collector.send(RECORDS)
    finally:
        connection.close()

    assert (answer.status_code, answer.data["success"]) == (503, False)
    assert int(answer["Retry-After"]) > 0
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(answer.headers)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's lock")
def test_database_that_is_locked_is_503_and_the_upload_goes_through_later(collector):
    connection.close()
    connection.settings_dict["OPTIONS"]["timeout"] = 0.2
    holder = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        answer = collector.send(RECORDS)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
        connection.settings_dict["OPTIONS"]["timeout"] = 20
        connection.close()

    assert (answer.status_code, answer.data["success"]) == (503, False)
    assert int(answer["Retry-After"]) > 0
    assert collector.send(RECORDS).status_code == 200


class Wire:
    """A plain HTTP/1.1 connection to a real gunicorn, to send what test clients can't."""

    def __init__(self, url, secret):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        self.headers = {"X-Collector-Key": secret, "Content-Type": "application/octet-stream"}

    def post(self, body, *, chunked=False, url=UPLOAD, **headers):
        self.connection.request("POST", url, body=body, headers={**self.headers, **headers}, encode_chunked=chunked)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def wire(live_web):
    wire = Wire(live_web.url, make_key(make_site("north"))[1])
    yield wire
    wire.connection.close()


@pytest.mark.django_db(transaction=True)
def test_chunked_body_without_a_length_is_read(wire):
    packed = gzip.compress(json.dumps(RECORDS).encode())
    chunks = [packed[:10], packed[10:]]

    status, answer = wire.post(iter(chunks), chunked=True, **{"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})

    assert (status, answer["processed"]) == (200, 1)


@pytest.mark.django_db(transaction=True)
def test_what_was_answered_is_in_the_database(wire):
    assert wire.post(json.dumps(RECORDS))[0] == 200
    assert MinerTelemetryHistory.objects.count() == 1  # from another connection: it is committed


@pytest.mark.django_db(transaction=True)
def test_connection_survives_a_refused_upload(wire):
    assert [wire.post(b"not json")[0], wire.post(b"x" * 1_000, **{"X-Collector-Key": "wrong"})[0], wire.post(json.dumps(RECORDS))[0]] == [
        400,
        401,
        200,
    ]


@pytest.mark.django_db(transaction=True)
def test_chunked_answer_to_a_command_is_read(wire):
    url = "/api/collector/commands/00000000-0000-4000-8000-000000000000/result"
    body = iter([b'{"status": "completed", ', b'"result_code": 0, "duration_ms": NaN}'])

    assert wire.post(body, chunked=True, url=url, **{"Transfer-Encoding": "chunked"})[0] == 404


BADLY_CHUNKED = [b"zz\r\n[]\r\n0\r\n\r\n", b"-2\r\n[]", b"2\r\n[]XX0\r\n\r\n", b"0" * 20_000, b"2\r\n[]\r\n0\r\nbad trailer\r\n\r\n"]
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.django_db(transaction=True)
def test_badly_chunked_body_is_refused_in_words_and_ends_the_connection(wire):
    for url in (UPLOAD, "/api/collector/commands/00000000-0000-4000-8000-000000000000/result"):
        for body in BADLY_CHUNKED:
            status, answer = wire.post(body + SMUGGLED, url=url, **{"Transfer-Encoding": "chunked"})

            assert (status, answer) == (400, {"success": False, "error": "The body is not well chunked."}), (url, body)
            assert wire.connection.sock is None or wire.connection.sock.recv(1) == b"", (url, body)
            wire.connection.close()


class CutOff:
    """A line that is cut in the middle of a body."""

    def __init__(self) -> None:
        self.pieces = [b'[{"miner_id": ']

    def read(self, _size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        return self.pieces.pop()

    readline = read


@pytest.mark.parametrize("url", [UPLOAD, "/api/edge/v1/heartbeat"])
def test_body_that_did_not_come_whole_is_asked_for_again(client, url):
    headers = {"X-Collector-Key": make_key(make_site("north"))[1]}
    answer = client.post(url, content_type="application/json", headers=headers, **{"wsgi.input": CutOff(), "CONTENT_LENGTH": "400"})

    assert (answer.status_code, answer.json()) == (408, {"success": False, "error": "The rest of the body did not come."})
