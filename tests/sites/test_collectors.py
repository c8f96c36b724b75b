"""Heartbeats and events of collectors: what is kept of them, what is refused, and who is silent."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from sites.collectors import COLLECTORS_AT_MOST
from sites.models import Collector, CollectorEvent, Site
from tests.makers import NOON, make_collector, make_key, make_site
from tests.telemetry.collector import Collector as Agent

pytestmark = pytest.mark.django_db

HEARTBEAT, EVENTS = "/api/edge/v1/heartbeat", "/api/edge/v1/events"
SAID = {
    "device_id": "edge-7",
    "zone_id": "B",
    "version": "0.1.0",
    "started_at": "2026-03-01T06:00:00Z",
    "sent_at": "2026-03-01T12:00:00",
    "interval_seconds": 30,
    "miners": 1000,
    "poll_duration_ms": 5120.5,
    "spool_records": 3000,
    "spool_bytes": 540_000,
    "spool_oldest_at": "2026-03-01T11:57:00+00:00",
    "last_acked_seq": 326_000,
    "clock_offset_ms": -12.5,
    "commands_open": 2,
    "a_field_of_tomorrow": [1],
}


@pytest.fixture
def site():
    return make_site("north")


@pytest.fixture
def agent(site):
    return Agent(make_key(site)[1])


def event(**fields):
    return {"event_id": str(uuid.uuid4()), "kind": "started", "at": "2026-03-01T12:00:00Z", **fields}


def test_heartbeat_is_kept_as_the_collectors_state_and_answered_with_the_servers_time(agent, site):
    before = timezone.now()
    answer = agent.send(SAID, url=HEARTBEAT)

    assert answer.status_code == 200
    assert answer.data == {"success": True, "server_time": answer.data["server_time"], "key_rotation_available": False}
    assert before <= timezone.datetime.fromisoformat(answer.data["server_time"]) <= timezone.now()
    collector = Collector.objects.get(site=site, device_id="edge-7", zone_id="B")
    assert (collector.version, collector.miners, collector.spool_records, collector.last_acked_seq) == ("0.1.0", 1000, 3000, 326_000)
    assert (collector.clock_offset_ms, collector.poll_duration_ms, collector.commands_open) == (-12.5, 5120.5, 2)
    assert collector.sent_at == NOON
    assert collector.lag() == timedelta(minutes=3)


def test_next_heartbeat_replaces_the_former_and_forgets_what_it_leaves_out(agent):
    agent.send(SAID, url=HEARTBEAT)
    agent.send({"device_id": "edge-7", "zone_id": "B", "miners": 990}, url=HEARTBEAT)

    collector = Collector.objects.get()
    assert (collector.miners, collector.spool_records, collector.interval_seconds) == (990, None, 60)


def test_interval_of_part_of_a_second_counts_as_one(agent):
    agent.send({**SAID, "interval_seconds": 0.2}, url=HEARTBEAT)

    assert Collector.objects.get().interval_seconds == 1


def test_headers_name_the_collector_when_the_body_does_not(agent):
    agent.send({}, url=HEARTBEAT, **{"X-Device-ID": "edge-9", "X-Zone-ID": "C"})

    assert Collector.objects.filter(device_id="edge-9", zone_id="C").exists()


def test_two_zones_of_one_device_are_two_collectors(agent):
    for zone in ("A", "B"):
        agent.send({"device_id": "edge-7", "zone_id": zone}, url=HEARTBEAT)

    assert Collector.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interval_seconds", -1),
        ("interval_seconds", 100_000),
        ("miners", -1),
        ("poll_duration_ms", -0.1),
        ("spool_records", 2**63),
        ("last_acked_seq", "many"),
        ("sent_at", "soon"),
        ("device_id", "x" * 101),
        ("zone_id", "a\x00b"),
        ("version", "\ud800"),
        ("clock_offset_ms", 1e300),
    ],
)
def test_heartbeat_out_of_bounds_is_refused_by_its_field(agent, field, value):
    answer = agent.send({**SAID, field: value}, url=HEARTBEAT)

    assert answer.status_code == 400
    assert field in answer.data["error"]
    assert not Collector.objects.exists()


def test_heartbeat_with_a_number_that_is_none_counts_it_as_unknown(agent):
    body = json.dumps(SAID).replace("-12.5", "NaN").encode()

    assert agent.post(body, url=HEARTBEAT).status_code == 200
    assert Collector.objects.get().clock_offset_ms is None


def test_key_beats_for_its_own_site_only(agent, site):
    answer = agent.send(SAID, url=HEARTBEAT, **{"X-Site-ID": make_site("south").code})

    assert answer.status_code == 403
    assert not Collector.objects.exists()


def test_collectors_of_a_site_are_bounded(agent, site):
    Collector.objects.bulk_create(Collector(site=site, device_id=f"d{number}") for number in range(COLLECTORS_AT_MOST))

    assert agent.send({"device_id": "one more"}, url=HEARTBEAT).status_code == 409
    assert agent.send({"device_id": "d7"}, url=HEARTBEAT).status_code == 200


def test_heartbeats_leave_the_upload_allowance_alone(agent):
    for _ in range(3):
        heartbeat = agent.send(SAID, url=HEARTBEAT)

    upload = agent.send([{"miner_id": "m1"}])
    assert int(heartbeat["X-RateLimit-Remaining"]) == 57
    assert int(upload["X-RateLimit-Remaining"]) == 59


# Silence


@pytest.mark.parametrize(("seconds", "state"), [(0, "online"), (59, "online"), (61, "late"), (90, "late"), (91, "silent")])
def test_collector_is_late_after_two_of_its_own_intervals_and_silent_after_three(site, seconds, state):
    collector = make_collector(site, heartbeat_at=NOON, interval_seconds=30)
    now = NOON + timedelta(seconds=seconds)

    assert collector.state(now) == state
    assert Collector.objects.silent(now).exists() is (state == "silent")


@pytest.mark.parametrize("fields", [{"is_watched": False}, {"heartbeat_at": None}])
def test_collector_that_nobody_watches_or_that_never_beat_is_not_silent(site, fields):
    make_collector(site, **{"heartbeat_at": NOON, **fields})

    assert not Collector.objects.silent(NOON + timedelta(days=1)).exists()


def test_collector_of_a_closed_site_is_not_silent(site):
    make_collector(site, heartbeat_at=NOON)
    Site.objects.update(is_active=False)

    assert not Collector.objects.silent(NOON + timedelta(days=1)).exists()


# Events


def test_event_is_kept_once_however_often_it_is_sent(agent, site):
    told = event(kind="safety_action", miner_id="m1", message="switched off at 95 °C", details={"temperature_max": 95})
    for _ in range(2):
        answer = agent.send({"device_id": "edge-7", "zone_id": "B", "events": [told]}, url=EVENTS)
        assert (answer.status_code, answer.data) == (200, {"success": True, "accepted": 1, "errors": []})

    kept = CollectorEvent.objects.get()
    assert (str(kept.event_id), kept.kind, kept.miner_id, kept.details) == (
        told["event_id"],
        "safety_action",
        "m1",
        {"temperature_max": 95},
    )
    assert (kept.at, kept.collector.device_id, kept.site) == (NOON, "edge-7", site)


def test_event_of_a_kind_this_server_does_not_know_is_kept_as_it_is(agent):
    agent.send({"device_id": "e", "events": [event(kind="fan_cleaned", details={"by": "Li", "when": [1, {"a": None}]})]}, url=EVENTS)

    assert CollectorEvent.objects.values_list("kind", "details").get() == ("fan_cleaned", {"by": "Li", "when": [1, {"a": None}]})


@pytest.mark.parametrize(
    "broken",
    [
        7,
        {},
        event(event_id="7"),
        event(kind="k" * 41),
        event(at="soon"),
        event(details={"text": "x" * 5_000}),
        event(details={"text": "a\x00b"}),
        event(details={"text": "\ud800"}),
        event(details={"\ud800": 1}),
        event(details=[1]),
        event(message="m" * 501),
    ],
)
def test_event_that_can_not_be_kept_costs_no_other(agent, broken):
    answer = agent.send({"device_id": "e", "events": [event(), broken, event()]}, url=EVENTS)

    assert answer.status_code == 200
    assert answer.data["accepted"] == 2
    assert [error["index"] for error in answer.data["errors"]] == [1]
    assert CollectorEvent.objects.count() == 2


@pytest.mark.parametrize("body", [{"events": [event()] * 501}, {"events": "none"}, {}])
def test_more_than_a_batch_of_events_or_no_list_is_refused(agent, body):
    assert agent.send(body, url=EVENTS).status_code == 400
    assert not CollectorEvent.objects.exists()


def test_event_ids_of_two_sites_do_not_meet(agent):
    told = event()
    other = Agent(make_key(make_site("south"))[1])
    for each in (agent, other):
        assert each.send({"device_id": "e", "events": [told]}, url=EVENTS).data["accepted"] == 1

    assert CollectorEvent.objects.count() == 2
