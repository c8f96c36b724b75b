from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from cgminer.address import Address
from cgminer.simulator import MinerSpec, SimulatedFleet, State
from cgminer.snapshot import Pool, Snapshot
from miners.discovery import Found, UnusableRange, addresses_in, apply_discovery, plan_discovery, scan
from miners.models import Miner
from sites.models import Site
from tests.makers import make_live, make_miner, make_miner_model, make_site
from tests.ports import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site("A")


def found(host: str, *, serial: str | None = None, mac: str | None = None, worker: str | None = None) -> Found:
    pools = (Pool(id=0, url="stratum+tcp://pool:3333", user=worker, active=True),) if worker else ()
    return Found.from_snapshot(Address(host), Snapshot(model="Antminer S19", serial_number=serial, mac_address=mac, pools=pools))


def discovered(site: Site, *machines: Found):
    plan = plan_discovery(site, machines)
    apply_discovery(plan)
    return plan


def summary(plan) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for word, finding in plan.findings:
        names.setdefault(word, []).append(finding.miner.miner_id)
    return names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.0/8", "largest range is a /16"),
        ("0.0.0.0/0", "largest range is a /16"),
        ("8.8.8.0/24", "public internet"),
        ("224.0.1.0/24", "no miner has such an address"),
        ("169.254.169.0/24", "no miner has such an address"),
        ("0.0.0.0", "no miner has such an address"),
        ("10.0.0.300", "not an address range"),
        ("miners", "not an address range"),
        ("fd00::/64", "only IPv4"),
    ],
)
def test_range_that_makes_no_sense_is_refused_with_its_reason(text: str, why: str):
    with pytest.raises(UnusableRange, match=why):
        addresses_in([text])


def test_this_server_is_not_searched_for_miners(settings):
    settings.LOCAL_MINERS = False
    with pytest.raises(UnusableRange, match="is this server itself"):
        addresses_in(["127.0.20.0/29"])


def test_ranges_together_are_at_most_a_sixteenth():
    assert len(addresses_in(["10.1.0.0/16"])) == 65_534
    with pytest.raises(UnusableRange, match="65,540 addresses are too many"):
        addresses_in(["10.1.0.0/16", "10.2.0.0/30"])


def test_every_host_is_asked_once_and_the_network_itself_is_not():
    assert [address.host for address in addresses_in(["10.0.0.0/30", "10.0.0.1/32", "10.0.0.9"])] == ["10.0.0.1", "10.0.0.2", "10.0.0.9"]


def test_new_machine_is_added_under_its_serial_number_or_else_its_mac_or_address(site: Site):
    model = make_miner_model("Antminer S19")
    discovered(
        site, found("10.0.0.1", serial="SN1", mac="02:00:00:00:00:01"), found("10.0.0.2", mac="02:00:00:00:00:02"), found("10.0.0.3")
    )
    assert list(Miner.objects.order_by("ip_address").values_list("miner_id", "discovered", "model_id")) == [
        ("SN1", True, model.pk),
        ("02:00:00:00:00:02", True, model.pk),
        ("10.0.0.3", True, model.pk),
    ]


@pytest.mark.parametrize(
    ("fields", "evidence"),
    [
        ({"serial_number": "SN1"}, {"serial": "SN1"}),
        ({"mac_address": "02:00:00:00:00:01"}, {"mac": "02:00:00:00:00:01"}),
        ({"worker_name": "farm.a1"}, {"worker": "farm.a1"}),
    ],
)
def test_machine_that_moved_is_recognised_and_keeps_its_name(site: Site, fields: dict, evidence: dict):
    miner = make_miner(site, "A-1", ip_address="10.0.0.1", **fields)
    plan = discovered(site, found("10.0.0.7", **evidence))
    assert summary(plan) == {"moved": ["A-1"]}
    assert plan.moved[0].before == "10.0.0.1:4028"
    miner.refresh_from_db()
    assert miner.ip_address == "10.0.0.7"


def test_worker_that_telemetry_reported_recognises_a_machine(site: Site):
    make_live(make_miner(site, "A-1", ip_address="10.0.0.1"), worker_name="farm.a1")
    assert summary(discovered(site, found("10.0.0.7", worker="farm.a1"))) == {"moved": ["A-1"]}


def test_worker_that_several_machines_share_recognises_none(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", worker_name="farm")
    plan = discovered(site, found("10.0.0.7", worker="farm"), found("10.0.0.8", worker="farm"))
    assert summary(plan) == {"new": ["10.0.0.7", "10.0.0.8"]}


def test_same_worker_on_a_machine_with_another_serial_number_is_another_machine(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", worker_name="farm.a1", serial_number="SN1")
    assert summary(discovered(site, found("10.0.0.7", worker="farm.a1", serial="SN2"))) == {"new": ["SN2"]}


def test_known_machine_at_its_address_learns_what_was_missing(site: Site):
    miner = make_miner(site, "A-1", ip_address="10.0.0.1")
    assert summary(discovered(site, found("10.0.0.1", serial="SN1"))) == {"known": ["A-1"]}
    miner.refresh_from_db()
    assert miner.serial_number == "SN1"


def test_other_machine_at_a_known_address_is_new_and_displaces_the_one_that_was_there(site: Site):
    old = make_miner(site, "A-1", ip_address="10.0.0.1", serial_number="SN1")
    plan = discovered(site, found("10.0.0.1", serial="SN2"))
    assert summary(plan) == {"new": ["SN2"]}
    assert [miner.miner_id for miner in plan.displaced] == ["A-1"]
    old.refresh_from_db()
    assert old.ip_address == ""


def test_two_machines_that_swapped_places_are_both_moved(site: Site):
    make_miner(site, "A-1", ip_address="10.0.0.1", serial_number="SN1")
    make_miner(site, "A-2", ip_address="10.0.0.2", serial_number="SN2")
    plan = discovered(site, found("10.0.0.1", serial="SN2"), found("10.0.0.2", serial="SN1"))
    assert (summary(plan), plan.displaced) == ({"moved": ["A-2", "A-1"]}, [])
    assert dict(Miner.objects.values_list("miner_id", "ip_address")) == {"A-1": "10.0.0.2", "A-2": "10.0.0.1"}


def test_second_search_changes_nothing(site: Site):
    machines = [found("10.0.0.1", serial="SN1"), found("10.0.0.2", worker="farm.a2"), found("10.0.0.3")]
    discovered(site, *machines)
    assert summary(discovered(site, *machines)).keys() == {"known"}
    assert Miner.objects.count() == 3


class _WebServer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>")


@pytest.fixture
def web_server() -> Iterator[int]:
    """A port on 127.0.20.2 where something listens that is no miner."""
    server = socketserver.ThreadingTCPServer(("127.0.20.2", 0), _WebServer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_search_finds_miners_and_leaves_the_rest_alone(web_server: int):
    states = {1: State.HEALTHY, 3: State.DENIED, 4: State.SLEEPING}
    specs = [MinerSpec(miner_id=f"m{n}", host=f"127.0.20.{n}", port=web_server, state=state, seed=n) for n, state in states.items()]
    counts: list[int] = []
    with SimulatedFleet(specs):
        result = scan(addresses_in(["127.0.20.0/29"], port=web_server), progress=counts.append)
    assert sorted(each.address.host for each in result.found) == ["127.0.20.1", "127.0.20.4"]
    assert dict(result.others) == {"parse": 1, "auth": 1, "connection": 2}
    assert [address.host for address in result.denied] == ["127.0.20.3"]
    assert (len(counts), counts[-1]) == (6, 2)


def test_search_finds_whatsminers_whose_old_api_is_closed(site: Site):
    specs = [MinerSpec(miner_id=f"w{n}", host=f"127.0.22.{n}", port=4433, model="Whatsminer M60", seed=n) for n in (1, 2)]
    known = make_miner(site, "A-1", ip_address="127.0.22.2")
    with SimulatedFleet(specs):
        plan = discovered(site, *scan(addresses_in(["127.0.22.0/30"])).found)
    assert summary(plan) == {"new": ["SIM000000001"], "moved": ["A-1"]}
    known.refresh_from_db()
    assert (known.port, known.serial_number) == (4433, "SIM000000002")


@pytest.fixture
def fleet() -> Iterator[list[MinerSpec]]:
    port = free_port()
    specs = [MinerSpec(miner_id=f"w{n}", host=f"127.0.21.{n}", port=port, model="Whatsminer M50", seed=n) for n in (1, 2)]
    with SimulatedFleet(specs):
        yield specs


def test_command_shows_model_and_firmware_and_stores_what_it_found(site: Site, fleet: list[MinerSpec], capsys: pytest.CaptureFixture[str]):
    moved = make_miner(site, "A-1", ip_address="10.9.9.9", mac_address=fleet[0].mac_address)
    call_command("discover", "127.0.21.0/29", "--site", "A", "--port", str(fleet[0].port))
    said = capsys.readouterr().out
    assert "M50" in said
    assert "10.9.9.9" in said
    assert "2 miners at 6 addresses; 1 added, 1 moved, 0 known" in said
    moved.refresh_from_db()
    assert (moved.ip_address, moved.port) == (fleet[0].host, fleet[0].port)


def test_command_says_which_addresses_it_left_out(site: Site, monkeypatch: pytest.MonkeyPatch, settings, capsys):
    settings.LOCAL_MINERS = False
    monkeypatch.setattr("miners.reach._own_hosts", lambda: frozenset({"10.254.253.1"}))
    monkeypatch.setattr("miners.reach.is_own", lambda ip: str(ip) == "10.254.253.1")
    call_command("discover", "10.254.253.1/32", "--site", "A")
    said = capsys.readouterr().out
    assert "Not asked: 10.254.253.1, this server itself." in said
    assert "0 miners at 0 addresses" in said


def test_dry_run_changes_nothing(site: Site, fleet: list[MinerSpec], capsys: pytest.CaptureFixture[str]):
    call_command("discover", "127.0.21.0/29", "--site", "A", "--port", str(fleet[0].port), "--dry-run")
    assert "2 would be added" in capsys.readouterr().out
    assert not Miner.objects.exists()


def test_command_refuses_nonsense_in_one_line(site: Site):
    with pytest.raises(CommandError, match="public internet"):
        call_command("discover", "1.1.1.0/24", "--site", "A")
    with pytest.raises(CommandError, match="Known sites: A"):
        call_command("discover", "10.0.0.0/24", "--site", "Z")
