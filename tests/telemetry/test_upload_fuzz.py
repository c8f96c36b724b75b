"""Uploads nobody would write by hand: whatever comes in is answered, never with a 500, and what is stored breaks no bound."""

from __future__ import annotations

import gzip
import json
import math

import pytest
from django.db.models import Max, Min
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from telemetry.models import MinerTelemetryDetail, MinerTelemetryHistory, MinerTelemetryLive
from telemetry.records import Record
from telemetry.repairs import READERS
from tests.makers import make_key, make_site
from tests.telemetry.collector import Collector

pytestmark = pytest.mark.django_db

numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from(
        [0, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 1e308, -1e308, 5e-324, -5e-324, math.nan, math.inf, -0.0]
    ),
)
words = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=" \t,.-+eE_0123456789", max_size=20),
    st.sampled_from(
        ["\0", "\ud800", "null", "NaN", "-Infinity", "true", "1e999", "0x10", "١٢٣", "9" * 400, "2026-11-24T06:26:32", "\U0001f600"]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, words)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(words, inner, max_size=5), max_leaves=20)
boards = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "hashrate", "temp", "chips_ok", "chips_total"), anything)), max_size=12
)
lists = st.lists(scalars, max_size=110)
names = st.one_of(st.sampled_from(sorted(READERS)), words)
records = st.fixed_dictionaries(
    {"miner_id": st.sampled_from(["m1", "m2", "m3"]) | scalars},
    optional={**{name: scalars | lists for name in READERS if name not in ("miner_id", "boards")}, "boards": boards | anything},
)
bodies = st.one_of(
    st.lists(records | st.dictionaries(names, anything, max_size=10) | anything, max_size=6),
    st.fixed_dictionaries(
        {"records": st.lists(records, max_size=4) | anything},
        optional=dict.fromkeys(("sent_at", "mode", "device_id", "zone_id", "site_id", "source_seq_start", "payload_enc"), anything),
    ),
    anything,
)
patient = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def collector(settings):
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)
    return Collector(make_key(make_site("north"))[1])


def assert_answered(answer):
    assert answer.status_code in (200, 400, 413, 415, 422), answer.content[:500]
    assert answer.data["success"] is (answer.status_code == 200)
    if answer.status_code == 200:
        refused = {error["index"] for error in answer.data["errors"] if "stored at the time of receipt" not in error["reason"]}
        assert answer.data["received"] == answer.data["processed"] + len(refused)


BOUNDS = {
    "hashrate_ghs": (0, 1e12),
    "hashrate_5s_ghs": (0, 1e12),
    "hashrate_expected_ghs": (0, 1e12),
    "temperature_avg": (-50, 150),
    "temperature_min": (-50, 150),
    "temperature_max": (-50, 150),
    "frequency_avg": (0, 10_000),
    "power_consumption": (0, 100_000),
    "accepted_shares": (0, 2**63 - 1),
    "rejected_shares": (0, 2**63 - 1),
    "hardware_errors": (0, 2**63 - 1),
    "uptime_seconds": (0, 2**63 - 1),
}


def assert_nothing_out_of_bounds():
    for model in (MinerTelemetryLive, MinerTelemetryHistory):
        for name, (lowest, highest) in BOUNDS.items():
            found = model.objects.aggregate(low=Min(name), high=Max(name))
            assert found["low"] is None or lowest <= found["low"] <= found["high"] <= highest, (name, found)
    for detail in MinerTelemetryDetail.objects.all():
        assert len(json.loads(detail.boards)) <= 10
        assert len(json.loads(detail.temperature_chips)) <= 100
        assert all(isinstance(rpm, int) for rpm in json.loads(detail.fan_speeds))


def test_any_json_is_answered_and_nothing_stored_breaks_a_bound(collector):
    @patient
    @given(bodies)
    @example([{"miner_id": "m1", name: 1e308} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", name: 2**63} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", name: "\0"} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", name: "\ud800"} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", name: []} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", name: {}} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", name: True} for name in Record.__struct_fields__ if name != "miner_id"])
    @example([{"miner_id": "m1", "efficiency": math.nan, "boards": [{"\ud800": 1, "temp": "60"}], "pools": [{"url": "\ud800"}]}])
    @example([{"\ud800": 1, "miner_id": "m1"}, {"miner_id": "\ud800"}, {"miner_id": None}])
    def send(body):
        assert_answered(collector.post(json.dumps(body).encode()))

    send()
    assert_nothing_out_of_bounds()


def test_any_bytes_are_answered(collector):
    @patient
    @given(st.binary(max_size=300), st.sampled_from(["", "gzip"]))
    def send(body, encoding):
        assert_answered(collector.post(body, **{"Content-Encoding": encoding}))

    send()


def test_any_damage_to_a_good_body_is_answered(collector):
    good = json.dumps([{"miner_id": f"m{number}", "hashrate_ghs": 5.5, "fan_speeds": [4, 6000]} for number in range(3)]).encode()

    @patient
    @given(st.data(), st.booleans())
    def send(data, packed):
        body = bytearray(gzip.compress(good) if packed else good)
        for _ in range(data.draw(st.integers(1, 5))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(body)))
        assert_answered(collector.post(bytes(body[:cut] if data.draw(st.booleans()) else body)))

    send()
    assert_nothing_out_of_bounds()


HEADERS = [
    "Content-Type",
    "Content-Encoding",
    "X-Site-ID",
    "X-Device-ID",
    "X-Edge-ID",
    "X-Zone-ID",
    "X-Upload-Mode",
    "Accept",
    "X-Forwarded-For",
]


def test_any_header_is_answered(collector, settings):
    settings.TRUSTED_PROXIES = 1

    @patient
    @given(st.dictionaries(st.sampled_from(HEADERS), st.text(alphabet=st.characters(max_codepoint=255), max_size=80), max_size=4))
    def send(headers):
        content_type = headers.pop("Content-Type", "application/json")
        answer = collector.post(b'[{"miner_id": "m1"}]', content_type=content_type, **headers)
        assert answer.status_code in (200, 400, 403, 415), answer.content

    send()
