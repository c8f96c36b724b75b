"""One reading of a simulated miner of each make, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy
from cgminer.simulator import MinerSpec, SimulatedFleet, State
from cgminer.simulator.catalogue import MODELS
from cgminer.snapshot import MiningState
from tests.cgminer.strange_servers import GOOD_REPLY, StrangeServer, answers, answers_in_turn
from tests.ports import free_port

JOINING = [name for name, model in MODELS.items() if model.shape.joins]
NOT_JOINING = [name for name, model in MODELS.items() if not model.shape.joins]


@pytest.fixture(scope="module")
def fleet() -> Iterator[SimulatedFleet]:
    port = free_port()
    specs = [
        MinerSpec(miner_id=name, host=f"127.0.50.{index}", port=port, model=name, seed=index) for index, name in enumerate(MODELS, start=1)
    ]
    asleep = [
        MinerSpec(miner_id=f"asleep {name}", host=f"127.0.51.{index}", port=port, model=name, state=State.SLEEPING, seed=index)
        for index, name in enumerate(MODELS, start=1)
    ]
    with SimulatedFleet([*specs, *asleep], latency=(0, 0.002)) as fleet:
        yield fleet


def client(fleet: SimulatedFleet, name: str) -> MinerClient:
    spec = fleet.miner(name).spec
    return MinerClient(Address(spec.host, spec.port), retries=RetryPolicy(attempts=1))


@pytest.mark.parametrize("name", MODELS)
def test_reading_gives_what_the_miner_does(fleet: SimulatedFleet, name: str) -> None:
    model = MODELS[name]
    snapshot = client(fleet, name).read_snapshot().snapshot
    assert snapshot.hashrate_ghs == pytest.approx(model.hashrate_ghs, rel=0.03)
    assert snapshot.hashrate_5s_ghs == pytest.approx(model.hashrate_ghs, rel=0.06)
    assert snapshot.hashrate_expected_ghs == pytest.approx(model.hashrate_ghs, rel=0.001)
    assert snapshot.uptime_seconds is not None
    assert snapshot.accepted_shares
    assert [board.chips_total or board.chips_ok for board in snapshot.boards] == [model.chips] * 3
    assert len(snapshot.fan_speeds) >= 2
    assert min(snapshot.fan_speeds) > 3_000
    assert 50 < (snapshot.temperature_max or 0) < 90
    assert [pool.active for pool in snapshot.pools] == [True, False, False]
    assert snapshot.mining_state is MiningState.MINING
    assert snapshot.latency_ms is not None


@pytest.mark.parametrize("name", MODELS)
def test_sleeping_miner_is_read_as_one_that_does_not_hash(fleet: SimulatedFleet, name: str) -> None:
    snapshot = client(fleet, f"asleep {name}").read_snapshot().snapshot
    assert not snapshot.hashrate_5s_ghs
    assert snapshot.mining_state is not MiningState.MINING


@pytest.mark.parametrize("name", JOINING)
def test_firmware_that_knows_joins_is_asked_in_one_request(fleet: SimulatedFleet, name: str) -> None:
    answer = client(fleet, name).read_snapshot()
    assert answer.joined
    assert next(iter(answer.raw)) == "summary+stats+pools+version"
    assert set(answer.replies) >= {"summary", "stats", "pools", "version"}


@pytest.mark.parametrize("name", NOT_JOINING)
def test_firmware_that_does_not_know_joins_is_asked_one_by_one(fleet: SimulatedFleet, name: str) -> None:
    first = client(fleet, name).read_snapshot()
    second = client(fleet, name).read_snapshot(joined=first.joined)
    assert not first.joined
    assert "summary+stats+pools+version" not in second.raw
    assert second.snapshot.model == MODELS[name].name


def test_garbled_joined_reply_falls_back_to_single_commands() -> None:
    """A firmware's buffer may be too small for the joined reply."""
    with StrangeServer(answers_in_turn(b'}{"summ', GOOD_REPLY)) as server:
        answer = MinerClient(server.address, retries=RetryPolicy(attempts=1)).read_snapshot()
    assert not answer.joined
    assert answer.snapshot.hashrate_ghs == 99.0


def test_wrong_machine_is_left_alone_after_a_few_questions() -> None:
    with StrangeServer(answers(b"220 printer ready\r\n")) as server:
        with pytest.raises(Exception, match="not JSON"):
            MinerClient(server.address, retries=RetryPolicy(attempts=1)).read_snapshot()
        assert len(server.requests) <= 3
