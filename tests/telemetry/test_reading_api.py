"""What the API tells of sites and miners."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from telemetry.models import MinerTelemetryDetail
from tests.makers import make_key, make_live, make_miner, make_site, make_staff, make_upload_log
from tests.telemetry.collector import Collector

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return make_site("north", name="The north farm", interval_seconds=60)


@pytest.fixture
def collector(site):
    return Collector(make_key(site, name="container 3")[1])


def ago(**time):
    return timezone.now() - timedelta(**time)


@pytest.fixture
def farm(site):
    """One miner of each state."""
    make_live(make_miner(site, "a-online"), hashrate_ghs=100.0, power_consumption=3_000.0, temperature_max=70.0)
    make_live(make_miner(site, "b-offline"), online=False, hashrate_ghs=None)
    make_live(make_miner(site, "c-stale"), timestamp=ago(minutes=10), hashrate_ghs=5_000.0)
    make_miner(site, "d-never")
    make_live(make_miner(site, "e-off-duty", is_enabled=False))


def test_status_tells_an_agent_that_it_is_connected(collector, farm, site):
    last = make_upload_log(site).upload_time
    make_upload_log(site, status="refused", upload_time=timezone.now())

    answer = collector.get("/api/collector/status").data

    assert (answer["success"], answer["site_id"], answer["site_name"], answer["collector"]) == (
        True,
        "north",
        "The north farm",
        "container 3",
    )
    assert answer["last_upload_at"] == last.isoformat().replace("+00:00", "Z")
    counts = {name: answer[name] for name in ("miners_total", "online", "offline", "stale", "never_seen")}
    assert counts == {"miners_total": 4, "online": 1, "offline": 1, "stale": 1, "never_seen": 1}


def test_status_of_a_new_site_is_empty_and_not_zero(collector):
    answer = collector.get("/api/collector/status").data

    assert (answer["miners_total"], answer["hashrate_ghs"], answer["last_upload_at"]) == (0, None, None)


def test_summary_adds_up_the_miners_that_answer(collector, farm):
    answer = collector.get("/api/collector/summary/north").data

    assert (answer["hashrate_ghs"], answer["power_consumption"], answer["temperature_max"]) == (100.0, 3_000.0, 70.0)


def test_live_rows_come_by_miner_a_page_at_a_time(collector, farm):
    first = collector.get("/api/collector/live/north?page_size=2").data
    second = collector.get("/api/collector/live/north?page_size=2&page=2").data
    beyond = collector.get("/api/collector/live/north?page_size=2&page=9").data

    rows = [(row["miner_id"], row["status"]) for row in first["miners"] + second["miners"]]
    assert rows == [("a-online", "online"), ("b-offline", "offline"), ("c-stale", "stale")]
    assert (first["count"], first["pages"], first["page"], beyond["miners"]) == (3, 2, 1, [])


@pytest.mark.parametrize("query", ["page=0", "page=x", "page_size=1001", "page_size=-1", "page=99999999999999999999"])
def test_page_that_can_not_be_is_400(collector, query):
    answer = collector.get(f"/api/collector/live/north?{query}")

    assert (answer.status_code, answer.data["success"]) == (400, False)


def test_page_of_live_rows_costs_the_same_queries_whatever_its_length(collector, site, django_assert_max_num_queries):
    for number in range(50):
        make_live(make_miner(site, f"m{number:02}"))

    with django_assert_max_num_queries(6):
        assert len(collector.get("/api/collector/live/north").data["miners"]) == 50


def test_miner_is_shown_with_its_lists(collector, site):
    miner = make_miner(site, "m1", zone="B", rack="7")
    make_live(miner, hashrate_ghs=100.0)
    MinerTelemetryDetail.objects.create(
        miner=miner,
        timestamp=timezone.now(),
        boards=json.dumps([{"id": 0, "hashrate": 33.0}]),
        fan_speeds="[6000]",
        temperature_chips="[61.5]",
    )

    answer = collector.get("/api/collector/miners/m1/status").data

    assert (answer["success"], answer["site_id"], answer["miner_id"], answer["zone"], answer["rack"]) == (True, "north", "m1", "B", "7")
    assert (answer["live"]["hashrate_ghs"], answer["live"]["status"]) == (100.0, "online")
    assert (answer["boards"], answer["fan_speeds"], answer["temperature_chips"]) == ([{"id": 0, "hashrate": 33.0}], [6000], [61.5])


def test_miner_that_never_reported_has_no_live_row(collector, site):
    make_miner(site, "m1")

    answer = collector.get("/api/collector/miners/m1/status").data

    assert (answer["live"], answer["boards"]) == (None, [])


def test_person_with_two_sites_that_have_the_same_miner_is_asked_which(site):
    south = make_site("south")
    for each in (site, south):
        make_miner(each, "m1")
    client = Client()
    client.force_login(make_staff(sites=(site, south)))

    unclear = client.get("/api/collector/miners/m1/status")

    assert unclear.status_code == 409
    assert "?site=CODE" in unclear.json()["error"]
    assert client.get("/api/collector/miners/m1/status?site=south").json()["site_id"] == "south"


@pytest.mark.parametrize("name", ["%00", "m1%00", "%F0%9F%98%80", "x" * 300, "%2e%2e", "a%20b"])
def test_strange_name_of_a_miner_is_404(collector, name):
    for address in (f"/api/collector/miners/{name}/status", f"/api/collector/live/{name}", f"/api/collector/summary/{name}"):
        assert collector.get(address).status_code == 404
