"""A round shared between processes gives what one process gives."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgminer.address import Address
from cgminer.client import RetryPolicy, Timeouts
from cgminer.errors import MinerTimeout
from cgminer.poll import RoundPolicy, Target, poll_round
from cgminer.poll.processes import PollingProcessError
from cgminer.simulator import MinerSpec, SimulatedFleet, State, build_fleet
from tests.cgminer.strange_servers import StrangeServer, stays_silent, wait_until
from tests.ports import free_port

POLICY = RoundPolicy(timeouts=Timeouts(receive_s=0.5), retries=RetryPolicy(attempts=1), deadline_s=15)


@pytest.fixture(scope="module")
def fleet() -> Iterator[SimulatedFleet]:
    specs = build_fleet(40, first_address="127.0.53.1", port=free_port(), shares={State.DEAD: 0.1})
    with SimulatedFleet(specs, latency=(0.001, 0.01)) as fleet:
        yield fleet


def target(spec: MinerSpec) -> Target:
    return Target(spec.miner_id, Address(spec.host, spec.port))


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            found.update(map(int, (task / "children").read_text().split()))
    return found


def test_two_processes_read_every_miner_once(fleet: SimulatedFleet) -> None:
    targets = list(map(target, fleet.specs))
    outcomes = list(poll_round(targets, policy=POLICY, processes=2))
    assert sorted(outcome.target.key for outcome in outcomes) == [spec.miner_id for spec in fleet.specs]
    assert sum(outcome.snapshot is not None for outcome in outcomes) == 36
    assert {type(outcome.error) for outcome in outcomes if outcome.error} == {MinerTimeout}


def test_no_process_is_left_behind(fleet: SimulatedFleet) -> None:
    before = children()
    list(poll_round(map(target, fleet.specs), policy=POLICY, processes=2))
    assert children() <= before


def test_leaving_the_loop_early_ends_the_processes() -> None:
    before = children()
    with StrangeServer(stays_silent) as server:
        polling = poll_round([Target(number, server.address) for number in range(4)], policy=RoundPolicy(deadline_s=0.5), processes=2)
        next(polling)
        polling.close()
    assert children() <= before


def test_process_that_is_killed_is_an_error_and_not_silence() -> None:
    before = children()
    with StrangeServer(stays_silent) as server:
        polling = poll_round([Target(number, server.address) for number in range(4)], policy=RoundPolicy(deadline_s=20), processes=2)
        with pytest.raises(PollingProcessError, match="2 of 2 miners"):
            _kill_first_new_child(polling, before)


def _kill_first_new_child(polling: Iterator[object], before: set[int]) -> None:
    def kill() -> None:
        wait_until(lambda: bool(children() - before))
        time.sleep(0.3)
        os.kill(min(children() - before), 9)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        next(polling)
    finally:
        killer.join()
