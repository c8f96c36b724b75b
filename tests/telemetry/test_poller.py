from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from cgminer.simulator import MinerSpec, SimulatedFleet, State, build_fleet
from miners.models import Miner
from resilience.leases import LeaseTaken
from resilience.models import JobLease
from sites.models import Site
from telemetry import poller
from telemetry.models import MinerPollState, MinerTelemetryHistory, MinerTelemetryLive
from telemetry.poll_plan import Shard
from telemetry.poller import poll_site
from tests.makers import NOON, make_miner, make_miner_model, make_site
from tests.ports import free_port
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _short_patience(settings) -> None:
    """A dead miner costs these tests a second, not ten."""
    settings.POLL_PATIENCE_S = 0.6
    settings.POLL_RECEIVE_TIMEOUT_S = 0.4
    settings.POLL_ATTEMPTS = 2


def farm(site: Site, specs: list[MinerSpec], **fields) -> list[Miner]:
    return Miner.objects.bulk_create(
        Miner(site=site, miner_id=spec.miner_id, ip_address=spec.host, port=spec.port, **fields) for spec in specs
    )


def fleet_of(*states: State) -> list[MinerSpec]:
    port = free_port()
    return [
        MinerSpec(miner_id=f"m{number}", host=f"127.9.0.{number}", port=port, state=state, seed=number)
        for number, state in enumerate(states, start=1)
    ]


@pytest.fixture
def talker() -> Iterator[Callable[[bytes], tuple[str, int]]]:
    """Start a machine that answers every connection with the given bytes."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(answer: bytes) -> tuple[str, int]:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(4096)
                self.request.sendall(answer)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server.server_address  # type: ignore[return-value]  # an IPv4 socket's address is a pair

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_a_miner_says_arrives_in_live_and_history():
    site, specs = make_site(), fleet_of(State.HEALTHY)
    (miner,) = farm(site, specs)
    with SimulatedFleet(specs) as fleet:
        before = timezone.now()
        report = poll_site(site, now=before)
        simulated = fleet.miner("m1")
    live = MinerTelemetryLive.objects.get(miner=miner)
    assert (report.polled, report.online, report.stored) == (1, 1, 1)
    assert live.online
    assert live.hashrate_ghs == pytest.approx(simulated.model.hashrate_ghs, rel=0.2)
    assert live.pool_url
    assert live.worker_name
    assert live.uptime_seconds > 0
    assert 0 < live.latency_ms < 5_000
    assert before <= live.timestamp <= timezone.now()
    row = MinerTelemetryHistory.objects.get(miner=miner)
    assert (row.timestamp, row.hashrate_ghs) == (live.timestamp, live.hashrate_ghs)


def test_hung_refused_and_denied_miners_are_offline_with_their_own_error_and_cost_the_healthy_nothing():
    site, specs = make_site(), fleet_of(State.DEAD, State.REFUSED, State.DENIED, State.HEALTHY, State.HEALTHY)
    farm(site, specs)
    with SimulatedFleet(specs):
        report = poll_site(site, now=NOON)
    live = {row.miner.miner_id: row for row in MinerTelemetryLive.objects.select_related("miner")}
    assert {name: row.error_type for name, row in live.items() if not row.online} == {"m1": "timeout", "m2": "connection", "m3": "auth"}
    assert live["m4"].online
    assert live["m5"].online
    assert "allow" in live["m3"].error_message
    assert dict(report.errors) == {"timeout": 1, "connection": 1, "auth": 1}
    assert (report.online, report.offline) == (2, 3)


def test_host_name_that_does_not_resolve_is_an_error_of_the_configuration():
    site = make_site()
    miner = make_miner(site, ip_address="no-such-miner.invalid")
    poll_site(site, now=NOON)
    assert MinerTelemetryLive.objects.get(miner=miner).error_type == "dns"


def test_unreadable_answer_skips_the_point_and_keeps_what_was_known(talker):
    site = make_site()
    host, port = talker(b"HTTP/1.0 400 Bad Request\r\n\r\n<html>")
    miner = make_miner(site, "web", ip_address=host, port=port)
    with capture_logs() as logs:
        report = poll_site(site, now=NOON)
    assert not MinerTelemetryLive.objects.filter(miner=miner).exists()
    assert (report.offline, dict(report.errors)) == (0, {"parse": 1})
    state = MinerPollState.objects.get(miner=miner)
    assert (state.consecutive_failures, state.last_error_type) == (0, "parse")
    assert [(entry["log_level"], entry["miner_id"]) for entry in logs if entry["event"] == "miner_unreadable"] == [("warning", "web")]


def test_third_failure_in_a_row_is_told_once_with_when_the_miner_was_last_seen():
    site, specs = make_site(), fleet_of(State.HEALTHY)
    (miner,) = farm(site, specs)
    with SimulatedFleet(specs):
        poll_site(site, now=NOON)
    seen = MinerTelemetryLive.objects.get(miner=miner).last_online_at
    events = []
    for number in range(1, 6):
        with capture_logs() as logs:
            poll_site(site, now=NOON + timedelta(minutes=4 * number))  # rounds in which a dead miner has its turn
        events.append([entry for entry in logs if entry["event"] == "miner_offline"])
    assert [len(told) for told in events] == [0, 0, 1, 0, 0]
    assert events[2][0]["miner_id"] == "m1"
    assert events[2][0]["consecutive_failures"] == 3
    assert datetime.fromisoformat(events[2][0]["last_seen"]) == seen


@pytest.mark.parametrize(("failures", "answered"), [(2, [1, 1, 1, 1]), (3, [0, 1, 1, 1]), (7, [0, 0, 0, 1])])
def test_dead_miner_is_asked_more_seldom_and_forgiven_at_once(failures: int, answered: list[int]):
    site, specs = make_site(), fleet_of(State.HEALTHY)
    (miner,) = farm(site, specs)
    MinerPollState.objects.create(miner=miner, consecutive_failures=failures, last_error_type="timeout")
    with SimulatedFleet(specs):
        reports = [poll_site(site, now=NOON + timedelta(minutes=minute)) for minute in range(1, 5)]
    assert [report.online for report in reports] == answered
    assert [report.skipped for report in reports] == [1 - online for online in answered]
    state = MinerPollState.objects.get(miner=miner)
    assert (state.consecutive_failures, state.last_error_type) == (0, "")
    assert state.last_success_at


def test_how_a_miner_is_asked_is_remembered_and_not_written_again():
    site, specs = make_site(), fleet_of(State.HEALTHY)
    (miner,) = farm(site, specs)
    with SimulatedFleet(specs):
        poll_site(site, now=NOON)
        with CaptureQueriesContext(connection) as queries:
            poll_site(site, now=NOON + timedelta(minutes=1))
    assert MinerPollState.objects.get(miner=miner).joined_reads is not None
    assert [query["sql"] for query in queries if 'INTO "miner_poll_state"' in query["sql"]] == []


def test_readings_are_stored_while_the_round_still_waits_for_a_hung_miner(settings):
    settings.POLL_PATIENCE_S = 30.0
    settings.POLL_ATTEMPTS = 1
    site, specs = make_site(), fleet_of(State.DEAD, *[State.HEALTHY] * 5)
    farm(site, specs)
    settings.POLL_DEADLINE_S = 6

    def poll() -> None:
        try:
            poll_site(site, now=NOON)
        finally:
            connections.close_all()

    with SimulatedFleet(specs):
        round_thread = threading.Thread(target=poll)
        round_thread.start()
        wait_until(lambda: MinerTelemetryLive.objects.count() == 5, timeout_s=4, what="five live rows")
        assert round_thread.is_alive()
        round_thread.join(timeout=20)
    assert MinerTelemetryLive.objects.count() == 5


def test_miner_deleted_during_the_round_stays_deleted(settings):
    settings.POLL_PATIENCE_S = 5.0
    settings.POLL_ATTEMPTS = 1
    site, specs = make_site(), fleet_of(State.SLOW, State.HEALTHY)
    specs[0] = replace(specs[0], answers_after_s=2.0)
    farm(site, specs)

    def poll() -> None:
        try:
            poll_site(site, now=NOON)
        finally:
            connections.close_all()

    with SimulatedFleet(specs):
        round_thread = threading.Thread(target=poll)
        round_thread.start()
        wait_until(MinerTelemetryLive.objects.exists, timeout_s=4, what="a first live row")
        Miner.objects.filter(miner_id="m1").delete()
        round_thread.join(timeout=20)
    assert JobLease.objects.get(name=f"poll:{site.code}").error == ""
    assert list(Miner.objects.values_list("miner_id", flat=True)) == ["m2"]


def test_miner_for_which_the_round_had_no_time_is_neither_offline_nor_a_failure(settings):
    settings.POLL_PATIENCE_S = 60.0
    settings.POLL_DEADLINE_S = 1
    site, specs = make_site(), fleet_of(State.DEAD, State.HEALTHY)
    farm(site, specs)
    begun = time.monotonic()
    with SimulatedFleet(specs), capture_logs() as logs:
        report = poll_site(site, now=NOON)
    assert time.monotonic() - begun < 5
    assert (report.polled, report.online, report.offline, report.not_reached) == (1, 1, 0, 1)
    assert list(MinerTelemetryLive.objects.values_list("miner__miner_id", flat=True)) == ["m2"]
    assert not MinerPollState.objects.filter(consecutive_failures__gt=0).exists()
    assert [entry["not_reached"] for entry in logs if entry["event"] == "poll_round_cut_short"] == [1]


def test_round_whose_storing_falls_behind_stops_and_gives_its_lease_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(poller, "BATCH", 1)
    monkeypatch.setattr(poller, "STORE_GRACE_S", -1_000)
    site, specs = make_site(), fleet_of(State.SLOW, State.HEALTHY)
    farm(site, specs)
    with SimulatedFleet(specs):
        report = poll_site(site, now=NOON)
    assert (report.polled, report.not_reached) == (1, 1)
    assert JobLease.objects.get(name=f"poll:{site.code}").owner == ""


def test_two_pollers_at_the_same_time_do_one_round():
    site, specs = make_site(), fleet_of(State.DEAD, State.HEALTHY)
    farm(site, specs)
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def poll() -> None:
        start.wait(timeout=10)
        try:
            poll_site(site, now=NOON)
            outcomes.append("polled")
        except LeaseTaken:
            outcomes.append("taken")
        finally:
            connections.close_all()

    with SimulatedFleet(specs):
        threads = [threading.Thread(target=poll) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert sorted(outcomes) == ["polled", "taken"]
    assert MinerTelemetryHistory.objects.filter(online=True).count() == 1
    assert JobLease.objects.get(name=f"poll:{site.code}").dropped == 1


def test_heartbeat_says_how_the_round_went():
    site = make_site("A")
    poll_site(site, now=NOON)
    row = JobLease.objects.get(name="poll:A")
    assert row.result.startswith("0 polled, 0 online")
    assert row.succeeded_at


def test_disabled_miners_and_those_without_an_address_are_not_polled():
    site = make_site()
    make_miner(site, is_enabled=False)
    make_miner(site, ip_address="")
    assert poll_site(site, now=NOON).polled == 0


def test_shards_cover_the_site_without_overlap():
    site, specs = make_site(), fleet_of(*[State.HEALTHY] * 12)
    farm(site, specs)
    with SimulatedFleet(specs):
        reports = [poll_site(site, now=NOON, shard=Shard(index, 3)) for index in range(3)]
    assert sum(report.polled for report in reports) == 12
    assert min(report.polled for report in reports) > 0
    assert MinerTelemetryHistory.objects.count() == 12
    assert set(JobLease.objects.values_list("name", flat=True)) == {f"poll:{site.code}{end}" for end in ("", ":2", ":3")}


def test_inventory_learns_model_serial_and_mac_and_keeps_what_a_person_entered():
    s19, other = make_miner_model("Antminer S19", aliases=["S19"]), make_miner_model("Antminer T21")
    port = free_port()
    specs = [MinerSpec(miner_id=f"w{n}", host=f"127.9.1.{n}", port=port, model="Whatsminer M50", seed=n) for n in (1, 2)]
    specs += fleet_of(State.HEALTHY, State.HEALTHY)
    site = make_site()
    farm(site, specs)
    Miner.objects.filter(miner_id="m2").update(model=other)
    Miner.objects.filter(miner_id="w2").update(mac_address="AA:AA:AA:AA:AA:AA")
    with SimulatedFleet(specs):
        poll_site(site, now=NOON)
    known = {miner.miner_id: miner for miner in Miner.objects.select_related("model")}
    assert known["m1"].model == s19
    assert known["m2"].model == other
    assert known["w1"].mac_address == specs[0].mac_address
    assert known["w2"].mac_address == "AA:AA:AA:AA:AA:AA"


def test_miner_whose_new_firmware_closed_the_old_port_is_followed_to_its_new_one():
    spec = MinerSpec(miner_id="m1", host="127.9.4.1", port=4433, model="Whatsminer M60", seed=5)
    site = make_site()
    (miner,) = farm(site, [replace(spec, port=4028)])
    with SimulatedFleet([spec]):
        poll_site(site, now=NOON)
        miner.refresh_from_db()
        assert (miner.port, miner.live.model, miner.serial_number) == (4433, "M60_VK30", spec.serial_number)
        assert poll_site(site, now=NOON + timedelta(minutes=1)).online == 1
    assert miner.changes.first().history_change_reason == "answers at another port"


@pytest.mark.parametrize("host", ["127.9.5.1", "localhost"])
def test_round_does_not_ask_at_the_server_itself(settings, host: str):
    settings.LOCAL_MINERS = False
    site = make_site()
    miner = make_miner(site, "m1", ip_address=host, port=free_port())
    report = poll_site(site, now=NOON)
    miner.refresh_from_db()
    assert (report.errors, report.online) == ({"not_asked": 1}, 0)
    assert "this is the server itself" in miner.live.error_message


def test_round_is_one_log_line_and_counted_for_prometheus():
    site, specs = make_site(), fleet_of(State.REFUSED, State.HEALTHY, State.HEALTHY)
    farm(site, specs)
    with SimulatedFleet(specs), capture_logs() as logs:
        poll_site(site, now=NOON)
    (line,) = [entry for entry in logs if entry["event"] == "poll_round"]
    assert line.items() >= {"site_id": site.code, "polled": 3, "online": 2, "offline": 1, "error_connection": 1}.items()
    labels = {"site_id": site.code}
    assert REGISTRY.get_sample_value("miner_poll_total", {**labels, "status": "ok"}) == 2
    assert REGISTRY.get_sample_value("miner_poll_total", {**labels, "status": "connection"}) == 1
    assert REGISTRY.get_sample_value("miner_poll_latency_seconds_count", labels) == 2


def test_thousand_miners_with_dead_ones_take_a_few_seconds():
    site = make_site()
    specs = build_fleet(1_000, first_address="127.10.0.1", port=free_port(), shares={State.DEAD: 0.05})
    farm(site, specs)
    begun = time.monotonic()
    with SimulatedFleet(specs):
        report = poll_site(site, now=NOON)
    assert (report.online, report.offline) == (950, 50)
    assert MinerTelemetryLive.objects.filter(online=True).count() == 950
    assert time.monotonic() - begun < 10
