"""Reading and commanding Whatsminers with API 3 over real sockets, and finding those whose old API is closed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cgminer import frames
from cgminer.actions import Dialect, carry_out
from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import ActionRefused, MinerAccessDenied, MinerError, MinerReplyError, MinerTimeout, PortClosed
from cgminer.poll import Outcome, RoundPolicy, Target, poll_round, search
from cgminer.protocols import elsewhere
from cgminer.simulator import MinerSpec, SimulatedFleet, State, build_fleet
from cgminer.simulator.catalogue import API3_MODELS
from cgminer.snapshot import MiningState
from tests.cgminer.strange_servers import Behaviour, StrangeServer, answers, answers_and_stays, answers_in_turn, drips, stays_silent
from tests.ports import WORKER

PORT = 4433
MODEL = "Whatsminer M60"
NETWORK = f"127.59.{WORKER}"
"""The port is the protocol's, so each process of the tests has its own addresses."""
STRANGE = (f"{NETWORK}.200", 24_433)
QUICK = RoundPolicy(
    quick_s=0.1,
    timeouts=Timeouts(connect_s=0.5, send_s=0.5, receive_s=1.0),
    retry_timeouts=Timeouts(connect_s=0.2, send_s=0.2, receive_s=0.2),
    retries=RetryPolicy(attempts=3, backoff_s=0.05),
    deadline_s=15,
)
ONCE = replace(QUICK, retries=RetryPolicy(attempts=1))
POOL = {"pool_url": "stratum+tcp://new.example.com:3333", "pool_user": "farm.one", "pool_password": "p\\w"}


def spec(name: str, number: int, **more: Any) -> MinerSpec:
    return MinerSpec(miner_id=name, host=f"{NETWORK}.{number}", port=PORT, model=MODEL, seed=number, admin_password="s3cret", **more)


@pytest.fixture
def fleet() -> Iterator[SimulatedFleet]:
    states = (State.SLEEPING, State.DEAD, State.SLOW, State.OVERHEATED, State.BOARD_LOST, State.DENIED)
    troubled = [spec(state.value, number, state=state, answers_after_s=0.3) for number, state in enumerate(states, start=10)]
    with SimulatedFleet([spec("well", 1), spec("locked", 2, privileged=False), *troubled], latency=(0, 0), restart_s=0.3) as fleet:
        yield fleet


def client(fleet: SimulatedFleet, name: str = "well", *, receive_s: float = 1.0) -> MinerClient:
    where = fleet.miner(name).spec
    return MinerClient(Address(where.host, where.port), Timeouts(receive_s=receive_s), RetryPolicy(attempts=1))


def poll_one(address: Address, *, policy: RoundPolicy = QUICK, joined: bool | None = None) -> Outcome:
    (outcome,) = poll_round([Target("m1", address, joined=joined)], policy=policy)
    return outcome


def test_reading_gives_what_the_miner_does(fleet: SimulatedFleet) -> None:
    model = API3_MODELS[MODEL]
    read = client(fleet).read_snapshot().snapshot
    assert read.hashrate_ghs == pytest.approx(model.hashrate_ghs, rel=0.03)
    assert read.hashrate_expected_ghs == pytest.approx(model.hashrate_ghs, rel=0.001)
    assert [board.chips_ok for board in read.boards] == [model.chips] * 3
    assert [pool.active for pool in read.pools] == [True, False, False]
    assert (read.mining_state, read.serial_number) == (MiningState.MINING, "SIM000000001")


def test_round_reads_it_like_any_other(fleet: SimulatedFleet) -> None:
    outcome = poll_one(Address(f"{NETWORK}.1", PORT))
    assert outcome.error is None
    assert outcome.snapshot is not None
    assert (outcome.snapshot.serial_number, outcome.snapshot.mining_state) == ("SIM000000001", MiningState.MINING)
    assert (outcome.attempts, outcome.joined, outcome.found_at) == (1, True, None)


@pytest.mark.parametrize(
    ("name", "state"),
    [("sleeping", MiningState.SLEEPING), ("overheated", MiningState.OVERHEATED), ("board_lost", MiningState.MINING)],
)
def test_state_of_the_miner_is_read(fleet: SimulatedFleet, name: str, state: MiningState) -> None:
    read = client(fleet, name).read_snapshot().snapshot
    assert read.mining_state is state
    assert len(read.boards) == (2 if name == "board_lost" else 3)
    assert read.boards_total == 3


def test_slow_one_is_read_and_dead_one_is_a_timeout(fleet: SimulatedFleet) -> None:
    assert client(fleet, "slow").read_snapshot().latency_ms >= 300
    with pytest.raises(MinerTimeout):
        client(fleet, "dead", receive_s=0.2).read_snapshot()
    with pytest.raises(MinerAccessDenied):
        client(fleet, "denied").read_snapshot()


def test_miner_whose_old_api_is_closed_is_read_at_its_new_port(fleet: SimulatedFleet) -> None:
    outcome = poll_one(Address(f"{NETWORK}.1"))
    assert outcome.snapshot is not None
    assert outcome.found_at == outcome.address == Address(f"{NETWORK}.1", PORT)
    assert outcome.target.address == Address(f"{NETWORK}.1")


def test_switched_off_miner_is_refused_at_its_own_port() -> None:
    outcome = poll_one(Address(f"{NETWORK}.99"))
    assert isinstance(outcome.error, PortClosed)
    assert str(outcome.error).startswith(f"{NETWORK}.99:4028: refused")
    assert (outcome.attempts, outcome.found_at) == (3, None)


def test_port_of_somebodys_own_choice_is_not_left() -> None:
    assert elsewhere(Address("10.0.0.1", 4029)) is None
    assert elsewhere(Address("10.0.0.1", PORT)) == Address("10.0.0.1")


def test_search_asks_closed_machines_at_the_other_port(fleet: SimulatedFleet) -> None:
    found = {outcome.address: outcome for outcome in search([Address(f"{NETWORK}.{number}") for number in (1, 12, 99)], policy=ONCE)}
    assert set(found) == {Address(f"{NETWORK}.1", PORT), Address(f"{NETWORK}.12", PORT), Address(f"{NETWORK}.99")}
    assert isinstance(found[Address(f"{NETWORK}.99")].error, PortClosed)


def test_connection_stays_open_for_further_requests(fleet: SimulatedFleet) -> None:
    with socket.create_connection((f"{NETWORK}.1", PORT), timeout=2) as connection:
        for part in ("summary", "pools"):
            request = frames.encode(f"get.miner.status {part}")
            connection.sendall(b"\0\0\0\0" + request[:3])
            connection.sendall(request[3:])
            raw = bytearray()
            while not frames.is_complete(raw):
                raw += connection.recv(4096)
            assert list(frames.decode(bytes(raw))["msg"]) == [part]


INFO = frames.framed({"code": 0, "msg": {"miner": {"type": "M50"}}})


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(b"\xff\xff\xff\x7f" + b"x" * 50),
        answers(b"\x04"),
        answers((900).to_bytes(4, "little") + b'{"code":0'),
        answers((9).to_bytes(4, "little") + b"garbage!!"),
        answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        answers_and_stays(b"\0" * 4_000),
        answers(frames.framed({"code": 0, "msg": "ok"})),
        answers(frames.framed({"STATUS": [{"STATUS": "S"}], "id": 1})),
    ],
    ids=["huge", "short prefix", "cut", "garbage", "HTTP", "heartbeats", "nothing", "another protocol"],
)
def test_what_is_no_api_3_is_unreadable_and_costs_two_requests_at_most(behaviour: Behaviour) -> None:
    with StrangeServer(behaviour, where=STRANGE) as server:
        outcome = poll_one(server.address)
        assert isinstance(outcome.error, MinerReplyError)
        assert len(server.requests) <= 6


@pytest.mark.parametrize("behaviour", [stays_silent, drips(INFO, 0.5), answers_and_stays(INFO[:40])], ids=["silent", "drips", "stuck"])
def test_one_that_never_finishes_is_a_timeout(behaviour: Behaviour) -> None:
    with StrangeServer(behaviour, where=STRANGE) as server:
        assert isinstance(poll_one(server.address, policy=ONCE).error, MinerTimeout)


def test_firmware_that_joins_no_parts_is_asked_one_by_one_and_remembered() -> None:
    failed = frames.framed({"code": -1, "msg": "fail"})
    summary = frames.framed({"code": 0, "msg": {"summary": {"elapsed": 60, "hash-average": 100}}})
    edevs = frames.framed({"code": 0, "msg": {"edevs": [{"slot": 0, "hash-average": 100}]}})
    with StrangeServer(answers_in_turn(INFO, failed, summary, failed, edevs, failed), where=STRANGE) as server:
        outcome = poll_one(server.address)
    assert outcome.snapshot is not None
    assert (outcome.joined, outcome.snapshot.uptime_seconds, len(outcome.snapshot.boards)) == (False, 60, 1)
    assert [json.loads(request[4:]).get("param") for request in server.requests] == [
        None,
        "summary+pools+edevs",
        "summary",
        "pools",
        "edevs",
        None,
    ]


def do(
    fleet: SimulatedFleet, command: str, params: dict[str, Any] | None = None, *, name: str = "well", password: str | None = "s3cret"
) -> Any:
    return carry_out(client(fleet, name), command, params or {}, password=password)


def test_mining_is_stopped_and_resumed(fleet: SimulatedFleet) -> None:
    done = do(fleet, "disable")
    assert done.dialect is Dialect.WHATSMINER_API3
    assert (done.before["mining_state"], done.after["mining_state"]) == ("mining", "sleeping")
    assert do(fleet, "enable").after["mining_state"] == "mining"


@pytest.mark.parametrize(("command", "told"), [("restart", "set.miner.service"), ("reboot", "set.system.reboot")])
def test_restart_and_reboot_reach_the_miner_once(fleet: SimulatedFleet, command: str, told: str) -> None:
    do(fleet, command)
    assert [event.command for event in fleet.control_events] == [told]
    assert fleet.miner("well").away_until > 0


def test_pools_are_set_encrypted_with_those_in_use_behind(fleet: SimulatedFleet) -> None:
    done = do(fleet, "set_pool", POOL)
    assert done.after["pool_url"] == POOL["pool_url"]
    first, *others = fleet.miner("well").pools
    assert (first.user, first.password) == ("farm.one", "p\\w")
    assert [pool.url for pool in others] == ["stratum+tcp://pool-a.example.com:3333", "stratum+tcp://pool-b.example.com:3333"]


@pytest.mark.parametrize(("name", "password"), [("well", "wrong"), ("locked", "s3cret")])
def test_refusal_says_what_to_look_at(fleet: SimulatedFleet, name: str, password: str) -> None:
    with pytest.raises(MinerAccessDenied, match="is writing switched on in WhatsMinerTool"):
        do(fleet, "disable", name=name, password=password)
    assert not fleet.miner(name).asleep


def test_without_a_password_nothing_is_sent(fleet: SimulatedFleet) -> None:
    with pytest.raises(ActionRefused, match="want the API password") as refused:
        do(fleet, "reboot", password=None)
    assert (refused.value.sent, fleet.control_events) == (False, [])


@pytest.mark.parametrize("command", ["set_fan", "set_frequency"])
def test_what_it_cannot_do_is_said_plainly(fleet: SimulatedFleet, command: str) -> None:
    with pytest.raises(MinerError, match=rf"cannot do {command} over its API; it can do disable, enable, reboot, restart, set_pool"):
        do(fleet, command, {"speed": 50, "frequency": 600})


def test_fleet_places_them_at_a_port_of_their_own() -> None:
    specs = build_fleet(4, first_address=f"{NETWORK}.50", port=14_028, models=((MODEL, 1), ("Antminer S19", 1)))
    assert sorted((each.model, each.port) for each in specs) == [("Antminer S19", 14_028)] * 2 + [(MODEL, 14_433)] * 2


def test_fleet_without_such_a_port_has_older_ones() -> None:
    assert {each.model for each in build_fleet(2, first_address=f"{NETWORK}.50", port=5_000, models=((MODEL, 1),))} == {"Whatsminer M50"}
