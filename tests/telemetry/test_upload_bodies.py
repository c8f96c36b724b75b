"""What comes in as the body of an upload and can't be taken: each has its status, none is a 500, none costs memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
import zlib

import pytest

from telemetry.models import CollectorUploadLog, MinerTelemetryLive
from tests.makers import make_key, make_site
from tests.telemetry.collector import Collector

pytestmark = pytest.mark.django_db

GOOD = b'[{"miner_id": "m1", "hashrate_ghs": 5}]'


@pytest.fixture
def collector():
    return Collector(make_key(make_site("north"))[1])


def gzipped(body):
    return {"body": gzip.compress(body), "Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    "sent",
    [
        {"body": GOOD, "content_type": "application/json"},
        {"body": GOOD, "content_type": "application/json; charset=utf-8"},
        {"body": GOOD, "content_type": "application/vnd.telemetry+json"},
        {"body": GOOD, "content_type": "application/octet-stream"},
        {"body": GOOD, "content_type": "text/plain"},
        {"body": b"\xef\xbb\xbf" + GOOD},
        {"body": b" \r\n\t" + GOOD + b"\n"},
        {**gzipped(GOOD), "content_type": "application/json"},
        {**gzipped(GOOD), "Content-Encoding": "GZIP"},
        {**gzipped(GOOD), "Content-Encoding": "x-gzip"},
        {"body": gzip.compress(GOOD)},
        {"body": gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:]), "Content-Encoding": "gzip"},
        {"body": gzip.compress(GOOD) + b"\0" * 100, "Content-Encoding": "gzip"},
        {"body": GOOD, "Content-Encoding": "identity"},
        {"body": GOOD.decode().encode("utf-16"), "content_type": "application/json; charset=utf-16"},
        {"body": GOOD, "content_type": 'application/json; charset="LATIN-1"'},
        {"body": GOOD, "Accept": "application/xml"},
    ],
)
def test_every_usual_packing_is_read(collector, sent):
    answer = collector.post(sent.pop("body"), **sent)

    assert (answer.status_code, answer.data.get("processed")) == (200, 1), answer.data


@pytest.mark.parametrize("name", ["矿场.1", "ферма", "café"])
@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_text_in_any_script_is_kept(collector, name, charset):
    body = json.dumps([{"miner_id": "m1", "worker_name": name}], ensure_ascii=False).encode(charset)

    collector.post(body, content_type=f"application/json; charset={charset}")

    assert MinerTelemetryLive.objects.get().worker_name == name


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {"body": b""}),
        (400, {"body": b"not json"}),
        (400, {"body": GOOD[:-5]}),
        (400, {"body": b"7"}),
        (400, {"body": b'"records"'}),
        (400, {"body": b"{}"}),
        (400, {"body": b'{"records": {}}'}),
        (400, {"body": b"[" * 100_000}),
        (400, {"body": b"[" * 100_000 + b"]" * 100_000}),
        (400, {"body": b'{"a":' * 50_000 + b"1" + b"}" * 50_000}),
        (400, {"body": b"\xff\xfe\x00"}),
        (400, {"body": GOOD, "Content-Encoding": "gzip"}),
        (400, {"body": gzip.compress(GOOD)[:-9], "Content-Encoding": "gzip"}),
        (400, {"body": gzip.compress(GOOD)[:15], "Content-Encoding": "gzip"}),
        (400, {"body": gzip.compress(GOOD)[:-8] + b"\0" * 8, "Content-Encoding": "gzip"}),
        (400, {"body": gzip.compress(GOOD) + b"garbage", "Content-Encoding": "gzip"}),
        (400, {"body": zlib.compress(GOOD), "Content-Encoding": "gzip"}),
        (400, {"body": gzip.compress(b"") * 1_000, "Content-Encoding": "gzip"}),
        (400, {"body": b"[null, 1, [], {}]"}),
        (413, {"body": json.dumps([{"miner_id": "m"}] * 5_001).encode()}),
        (413, gzipped(json.dumps({"records": [{"miner_id": "m"}] * 5_001}).encode())),
        (413, {"body": b"[" + b"{}," * 1_000_000 + b"{}]"}),
        (413, {"body": b'[{"miner_id": "m1", "temperature_chips": [' + b"1," * 3_000_000 + b"1]}]"}),
        (413, {"body": b" " * 10_000_001}),
        (413, gzipped(b" " * 50_000_001)),
        (415, {"body": GOOD, "content_type": "text/html"}),
        (415, {"body": GOOD, "content_type": "application/x-www-form-urlencoded"}),
        (415, {"body": GOOD, "content_type": "multipart/form-data; boundary=x"}),
        (415, {"body": GOOD, "Content-Encoding": "br"}),
        (415, {"body": GOOD, "Content-Encoding": "gzip, gzip"}),
        (415, {"body": GOOD, "content_type": "application/json; charset=klingon"}),
        (415, {"body": GOOD, "content_type": "application/json; charset=rot13"}),
        (422, {"body": b'{"schema": "telemetry_envelope.v1", "payload_enc": "AAAA"}'}),
        (422, {"body": b'{"payload_enc": {"nonce": "x"}, "records": [{"miner_id": "m1"}]}'}),
    ],
)
def test_body_that_can_not_be_taken_has_its_status_and_is_logged(collector, status, sent):
    sent = dict(sent)
    answer = collector.post(sent.pop("body"), **sent)

    assert (answer.status_code, answer.data["success"]) == (status, False)
    assert answer.data["error"]
    assert "Traceback" not in answer.content.decode()
    assert CollectorUploadLog.objects.get().status == "refused"
    assert not MinerTelemetryLive.objects.exists()


def test_exactly_as_many_records_as_are_allowed_are_taken(collector):
    answer = collector.send([{"miner_id": f"m{number}"} for number in range(5_000)])

    assert (answer.status_code, answer.data["processed"]) == (200, 5_000)


def test_deep_nesting_in_one_record_does_not_cost_the_batch(collector):
    body = b'[{"miner_id": "m1", "extra": ' + b"[" * 200 + b"]" * 200 + b'}, {"miner_id": "m2"}]'

    assert collector.post(body).data["processed"] == 2


def test_bytes_that_are_not_utf8_do_not_cost_the_batch(collector):
    answer = collector.post(b'[{"miner_id": "m1", "worker_name": "caf\xe9"}, {"miner_id": "m2"}]')

    assert answer.data["processed"] == 2


def test_error_of_a_broken_body_says_where(collector):
    assert collector.post(b'[{"miner_id": "m1",, }]').data["error"].startswith("The body is not JSON: ")


BOMB = """
    import io, resource, zlib
    from resilience.bodies import BodyTooLarge, read_body

    def packed(wbits):
        pack = zlib.compressobj(9, zlib.DEFLATED, wbits)
        return pack.compress(bytes(16_000_000)) + pack.flush(zlib.Z_FULL_FLUSH)

    body = packed(31)
    body += packed(-15) * ((10_000_000 - len(body)) // len(body))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_body(io.BytesIO(body), content_encoding="gzip", max_bytes=10_000_000, max_unpacked_bytes=50_000_000)
    except BodyTooLarge:
        print(len(body), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_gzip_bomb_of_ten_gigabytes_costs_less_than_a_hundred_megabytes():
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(BOMB)], capture_output=True, text=True, timeout=60, check=True)

    size, megabytes = map(int, run.stdout.split())
    assert size > 9_900_000
    assert megabytes < 100
