from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cgminer.simulator import MinerSpec, SimulatedFleet, State
from resilience.leases import acquire
from sites.models import Site
from telemetry.models import MinerTelemetryLive
from tests.makers import make_miner, make_site
from tests.ports import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def spec() -> Iterator[MinerSpec]:
    spec = MinerSpec(miner_id="m1", host="127.9.3.1", port=free_port(), model="Antminer S19", seed=4)
    with SimulatedFleet([spec]):
        yield spec


@pytest.fixture
def polled_site(spec: MinerSpec):
    site = make_site("A")
    make_miner(site, "m1", ip_address=spec.host, port=spec.port)
    make_miner(make_site("B", collection="collector"), "b1", ip_address=spec.host, port=spec.port)
    return site


def test_every_site_of_this_server_is_polled_and_shown(polled_site, capsys: pytest.CaptureFixture[str]):
    call_command("poll_miners")
    assert list(MinerTelemetryLive.objects.values_list("miner__miner_id", "online")) == [("m1", True)]
    header, row = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert header[:4] == ["site", "part", "polled", "online"]
    assert row[:4] == ["A", "1/1", "1", "1"]


def test_poll_result_is_json_alone_on_standard_output(polled_site, child_environment: dict[str, str]):
    command = [sys.executable, "manage.py", "poll_miners", "--site", "A", "--json"]
    done = subprocess.run(command, env=child_environment, check=True, capture_output=True, timeout=60)
    (round_,) = json.loads(done.stdout)["rounds"]
    assert (round_["site_id"], round_["polled"], round_["online"], round_["errors"]) == ("A", 1, 1, {})


def test_round_that_is_under_way_is_not_doubled(polled_site, capsys: pytest.CaptureFixture[str]):
    acquire("poll:A", ttl_s=60, now=timezone.now())
    call_command("poll_miners", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["rounds"] == []
    assert "already running" in answer["not_polled"][0]["reason"]
    assert not MinerTelemetryLive.objects.exists()


def test_unknown_site_is_one_line_with_the_known_codes(polled_site):
    with pytest.raises(CommandError, match=r"no site 'X'\. Known sites: A, B\. Name one of them, or make it in the admin\.$"):
        call_command("poll_miners", "--site", "X")


def test_site_of_a_collector_is_not_polled_and_that_is_said():
    make_site("fed", collection=Site.Collection.COLLECTOR)
    with pytest.raises(CommandError, match="'fed' is not polled by this server"):
        call_command("poll_miners", "--site", "fed")


def test_farm_without_a_polled_site_is_told_what_to_do(capsys: pytest.CaptureFixture[str]):
    call_command("poll_miners")
    assert "No site is polled by this server" in capsys.readouterr().out


def test_probe_prints_the_reading_under_the_wires_names_alone_on_standard_output(spec: MinerSpec, child_environment: dict[str, str]):
    command = [sys.executable, "manage.py", "probe_miner", f"{spec.host}:{spec.port}", "--json"]
    done = subprocess.run(command, env=child_environment, check=True, capture_output=True, timeout=60)
    reading = json.loads(done.stdout)
    assert reading["online"] is True
    assert reading["ip_address"] == spec.host
    assert reading["hashrate_ghs"] == pytest.approx(95_000, rel=0.2)
    assert {"model", "temperature_max", "fan_speeds", "uptime_seconds", "pool_url", "boards", "latency_ms"} <= reading.keys()


def test_probe_shows_the_raw_answer_and_what_is_understood(spec: MinerSpec, capsys: pytest.CaptureFixture[str]):
    call_command("probe_miner", f"{spec.host}:{spec.port}")
    said = capsys.readouterr().out
    assert '"STATUS"' in said
    assert "hashrate_ghs" in said
    assert "GH/s" in said


def test_probe_of_a_miner_that_refuses_says_why_and_fails(capsys: pytest.CaptureFixture[str]):
    denied = MinerSpec(miner_id="d", host="127.9.3.2", port=free_port(), state=State.DENIED)
    with SimulatedFleet([denied]), pytest.raises(CommandError, match=r"allow.*\[auth\]"):
        call_command("probe_miner", f"{denied.host}:{denied.port}", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["online"], answer["error_type"]) == (False, "auth")


@pytest.mark.parametrize("address", ["10.0.0.300", "10.0.0.1:99999", ""])
def test_probe_of_a_malformed_address_says_what_is_wrong(address: str):
    with pytest.raises(CommandError, match="dns"):
        call_command("probe_miner", address)
