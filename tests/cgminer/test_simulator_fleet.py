"""The simulated fleet behaves as a farm does: who answers, who does not, and what the numbers do over time."""

from __future__ import annotations

import contextlib
import csv
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerTimeout
from cgminer.simulator import FleetError, MinerSpec, SimulatedFleet, State, build_fleet, write_inventory
from cgminer.simulator.catalogue import MODELS
from cgminer.simulator.miner import SimulatedMiner
from tests.ports import free_port

NOON = 1_790_000_000.0


def one(state: State = State.HEALTHY, *, model: str = "Antminer S19", host: str = "127.0.54.1", **more: object) -> MinerSpec:
    return MinerSpec(miner_id="m1", host=host, port=free_port(), model=model, state=state, seed=7, **more)


def client(fleet: SimulatedFleet, miner_id: str = "m1", *, receive_s: float = 0.4) -> MinerClient:
    spec = fleet.miner(miner_id).spec
    return MinerClient(Address(spec.host, spec.port), Timeouts(receive_s=receive_s), RetryPolicy(attempts=1))


@pytest.fixture(params=[False, True], ids=["a listener each", "one listener"])
def fleets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[SimulatedFleet]:
    """Both ways of listening; a large fleet takes the second by itself."""
    if request.param:
        monkeypatch.setattr("cgminer.simulator.fleet.sockets_allowed", lambda wanted: 0)
    return SimulatedFleet


def test_healthy_miner_answers(fleets: type[SimulatedFleet]) -> None:
    with fleets([one()], latency=(0, 0)) as fleet:
        assert client(fleet).read_snapshot().snapshot.model == "Antminer S19"


def test_dead_miner_accepts_and_never_answers(fleets: type[SimulatedFleet]) -> None:
    with fleets([one(State.DEAD)]) as fleet, pytest.raises(MinerTimeout, match="no answer"):
        client(fleet).request("summary")


def test_slow_miner_answers_late(fleets: type[SimulatedFleet]) -> None:
    with fleets([one(State.SLOW, answers_after_s=0.3)], latency=(0, 0)) as fleet:
        assert client(fleet, receive_s=2).read_snapshot().latency_ms == pytest.approx(300, abs=100)


def test_miner_that_does_not_let_us_in_closes_at_once(fleets: type[SimulatedFleet]) -> None:
    with fleets([one(State.DENIED)]) as fleet, pytest.raises(MinerAccessDenied):
        client(fleet).request("summary")


def test_switched_off_miner_refuses() -> None:
    with SimulatedFleet([one(State.REFUSED)]) as fleet, pytest.raises(MinerConnectionError, match="refused"):
        client(fleet).request("summary")


def test_state_can_be_changed_while_the_fleet_runs() -> None:
    with SimulatedFleet([one()], latency=(0, 0)) as fleet:
        fleet.set_state("m1", State.REFUSED)
        with pytest.raises(MinerConnectionError):
            client(fleet).request("summary")
        fleet.set_state("m1", State.OVERHEATED)
        assert client(fleet).read_snapshot().snapshot.hashrate_5s_ghs == 0


def test_overheated_miner_is_hot_and_does_not_hash() -> None:
    with SimulatedFleet([one(State.OVERHEATED)], latency=(0, 0)) as fleet:
        snapshot = client(fleet).read_snapshot().snapshot
    assert snapshot.temperature_max is not None
    assert snapshot.temperature_max > 95
    assert snapshot.hashrate_5s_ghs == 0


def test_lost_board_is_missed_by_rate_and_by_board() -> None:
    with SimulatedFleet([one(State.BOARD_LOST)], latency=(0, 0)) as fleet:
        snapshot = client(fleet).read_snapshot().snapshot
    assert snapshot.hashrate_ghs == pytest.approx(95_000 * 2 / 3, rel=0.03)
    assert snapshot.boards_healthy == 2


def test_counters_grow_with_the_time_and_agree_with_the_uptime() -> None:
    miner = SimulatedMiner(one(), NOON)
    accepted = [miner.accepted_shares(NOON + seconds) for seconds in (0, 3600, 7200)]
    assert accepted[2] - accepted[1] == pytest.approx(accepted[1] - accepted[0], abs=1)
    assert miner.accepted_shares(miner.started_at) == 0


def test_same_seed_gives_the_same_values_at_the_same_time() -> None:
    replies = {SimulatedMiner(one(), NOON).read("summary+stats", NOON + 60) for _ in range(3)}
    assert len(replies) == 1


def test_values_drift_and_stay_near_what_the_model_does() -> None:
    miner = SimulatedMiner(one(), NOON)
    replies = [miner.read("stats", NOON + minute * 60) for minute in range(60)]
    assert len(set(replies)) == 60


@pytest.mark.parametrize("name", MODELS)
def test_one_request_is_answered_faster_than_a_poller_asks(name: str) -> None:
    """The simulator shares two cores with what it measures."""
    miner = SimulatedMiner(one(model=name), NOON)
    started = time.process_time()
    for number in range(200):
        miner.read("summary", NOON + number)
    assert (time.process_time() - started) / 200 < 0.000_5


def test_unknown_and_broken_requests_get_the_protocols_codes() -> None:
    with SimulatedFleet([one()], latency=(0, 0)) as fleet:
        spec = fleet.specs[0]
        codes = [_code(spec, request) for request in (b'{"command":"nonsense"}', b"{nonsense", b'{"x":1}')]
    assert codes == [b'"Code":14', b'"Code":23', b'"Code":24']


def _code(spec: MinerSpec, request: bytes) -> bytes:
    with socket.create_connection((spec.host, spec.port), timeout=2) as connection:
        connection.sendall(request)
        reply = connection.makefile("rb").read()
    return next(part for part in reply.split(b",") if part.startswith(b'"Code"'))


def test_fleet_has_the_asked_share_of_each_state() -> None:
    states = Counter(spec.state for spec in build_fleet(200, shares={State.DEAD: 0.05, State.SLEEPING: 0.1}))
    assert states == {State.HEALTHY: 170, State.SLEEPING: 20, State.DEAD: 10}


def test_fleet_is_spread_over_consecutive_addresses_with_the_models_mixed() -> None:
    specs = build_fleet(300, first_address="127.0.10.1", port=4028)
    assert [specs[0].host, specs[254].host, specs[299].host] == ["127.0.10.1", "127.0.10.255", "127.0.11.44"]
    assert len({spec.model for spec in specs[:21]}) == len(MODELS)


def test_fleet_is_spread_over_ports_where_there_is_one_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgminer.simulator.spec._can_bind", lambda address: False)
    specs = build_fleet(3, port=5000)
    assert [(spec.host, spec.port) for spec in specs] == [("127.0.0.1", 5000), ("127.0.0.1", 5001), ("127.0.0.1", 5002)]


def test_inventory_lists_every_miner_with_its_place(tmp_path: Path) -> None:
    specs = build_fleet(30)
    assert write_inventory(specs, tmp_path / "fleet.csv") == 30
    rows = list(csv.DictReader((tmp_path / "fleet.csv").read_text().splitlines()))
    assert list(rows[0]) == ["miner_id", "ip_address", "port", "model", "serial_number", "mac_address", "zone", "rack", "slot"]
    assert len({(row["zone"], row["rack"], row["slot"]) for row in rows}) == 30
    assert len({row["serial_number"] for row in rows}) == 30


def test_busy_port_is_one_clear_line() -> None:
    spec = one()
    with SimulatedFleet([spec]), pytest.raises(FleetError, match=f"{spec.host}:{spec.port} is in use"):
        SimulatedFleet([spec]).start()


def test_management_command_says_the_same_in_one_line() -> None:
    spec = one()
    options = {"count": 1, "first_address": spec.host, "port": spec.port}
    with SimulatedFleet([spec]), pytest.raises(CommandError, match=f"^{spec.host}:{spec.port} is in use already; [^\\n]*--port$"):
        call_command("simulate_fleet", **options)


def test_stopped_fleet_frees_its_addresses() -> None:
    spec = one()
    for _ in range(2):
        with SimulatedFleet([spec], latency=(0, 0)) as fleet:
            assert client(fleet).request("version")


def test_large_fleet_needs_few_open_files() -> None:
    specs = build_fleet(30_000, first_address="127.60.0.1", port=free_port())
    with SimulatedFleet(specs, latency=(0, 0)) as fleet:
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 60_000:
            pytest.skip("this system allows a listener for each miner")
        assert client(fleet, specs[-1].miner_id).read_snapshot().snapshot.pools[0].user == f"farm.{specs[-1].miner_id}"


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_program_plays_a_fleet_until_it_is_interrupted(tmp_path: Path) -> None:
    port = free_port()
    inventory = tmp_path / "fleet.csv"
    arguments = ["--count", "5", "--first-address", "127.0.55.1", "--port", str(port), "--latency", "0-1", "--inventory", str(inventory)]
    command = [sys.executable, "-m", "cgminer.simulator", *arguments]
    # What a shell starts in the background ignores Ctrl-C, and so do its children.
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c)
    with program, contextlib.ExitStack() as stack:
        stack.callback(program.kill)
        assert program.stdout is not None
        assert "5 simulated miners answer" in program.stdout.readline()
        assert MinerClient(Address("127.0.55.5", port)).read_snapshot().snapshot.model
        program.send_signal(2)
        assert program.wait(timeout=5) == 0
    assert len(inventory.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--first-address", "10.0.0.1"], "loopback"),
        (["--first-address", "nonsense"], "--first-address nonsense"),
        (["--port", "70000"], "1 to 65535"),
        (["--dead", "5"], "from 0 to 1"),
        (["--latency", "80-20"], "milliseconds"),
        (["--count", "0"], "number of miners"),
        (["--inventory", "/no/such/folder/fleet.csv"], "cannot write"),
    ],
)
def test_wrong_option_is_one_clear_line(arguments: list[str], message: str) -> None:
    ran = subprocess.run([sys.executable, "-m", "cgminer.simulator", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode != 0
    assert message in ran.stderr.splitlines()[-1]
