"""Finding miners in ranges, and finding them again when their addresses move."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cgminer.address import Address
from cgminer.simulator import MinerSpec, SimulatedFleet, State
from edge_collector.agent import Agent
from edge_collector.config import ConfigError
from edge_collector.discovery import addresses_in
from tests.edge_collector.makers import make_config
from tests.edge_collector.odd_server import OddServer
from tests.ports import free_port

LUXOS, ANTMINER, WHATSMINER = "Antminer S19k Pro (LuxOS)", "Antminer S19", "Whatsminer M30S++"


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture
def server():
    with OddServer() as odd:
        yield odd


@pytest.fixture
def agent_at(server, tmp_path):
    """Agents on one folder, one after the other."""
    made = []

    def make(**sections):
        for agent in made:
            agent.close()
        made.append(Agent(make_config(tmp_path, url=server.url, **{"loop": {"interval_s": 3}, **sections})))
        return made[-1]

    yield make
    made[-1].close()


def spec(name, host, port, model=LUXOS, seed=1):
    return MinerSpec(miner_id=name, host=f"127.0.73.{host}", port=port, model=model, seed=seed)


def ranges(port, **more):
    return {"miners": {"ranges": ["127.0.73.0/28"], "port": port, **more}}


def test_range_fills_an_empty_inventory_and_names_tell_no_address(agent_at, server, port):
    specs = [spec("a", 1, port, LUXOS, 1), spec("b", 2, port, WHATSMINER, 2), spec("c", 3, port, ANTMINER, 3)]
    agent = agent_at(**ranges(port))
    with SimulatedFleet(specs):
        assert agent.once(within_s=10)
    names = {record["miner_id"] for record in server.records}
    assert names == {"SIM000000001", "SIM000000002", "c"}
    assert "127.0.73" not in json.dumps(server.uploads)


@pytest.mark.parametrize(("preferred", "name"), [("mac", "02:51:00:00:00:01"), ("worker", "a"), ("serial", "SIM000000001")])
def test_names_come_from_what_was_asked_for(agent_at, port, preferred, name):
    agent = agent_at(**ranges(port, names=preferred))
    with SimulatedFleet([spec("a", 1, port)]):
        assert agent.searcher.search().new == [name]


def test_moved_miner_keeps_its_name(agent_at, server, port):
    agent = agent_at(**ranges(port))
    with SimulatedFleet([spec("a", 1, port)]):
        agent.once(within_s=10)
    with SimulatedFleet([spec("a", 9, port)]):
        findings = agent.searcher.search()
        agent.once(within_s=10)
    assert findings.moved == ["SIM000000001"]
    assert [record["miner_id"] for record in server.records if record["online"]] == ["SIM000000001"] * 2
    event = agent.outbox.take()[-1]
    assert (event["kind"], event["details"]["moved"]) == ("discovery", ["SIM000000001"])


def test_miner_that_tells_only_its_worker_is_found_again_by_it(agent_at, port):
    agent = agent_at(**ranges(port))
    with SimulatedFleet([spec("a", 1, port, ANTMINER)]):
        agent.once(within_s=10)
    with SimulatedFleet([spec("a", 9, port, ANTMINER)]):
        assert agent.searcher.search().moved == ["a"]


def test_two_that_changed_places_are_told_apart_without_a_search(agent_at, server, port):
    first, second = spec("a", 1, port, seed=1), spec("b", 2, port, seed=2)
    agent = agent_at(**ranges(port))
    with SimulatedFleet([first, second]):
        agent.once(within_s=10)
    swapped = [replace(first, host=second.host), replace(second, host=first.host)]
    with SimulatedFleet(swapped):
        agent.round()
        agent.round()
        agent.round()
    assert agent.uplink.drain(within_s=10)
    expected = {"SIM000000001": "farm.a", "SIM000000002": "farm.b"}
    assert all(record["worker_name"] == expected[record["miner_id"]] for record in server.records if record["online"])
    assert {machine.miner_id: machine.address.host for machine in agent.inventory.all()} == {
        "SIM000000001": "127.0.73.2",
        "SIM000000002": "127.0.73.1",
    }


def test_place_that_was_found_is_remembered_over_a_restart(agent_at, port):
    agent = agent_at(**ranges(port))
    with SimulatedFleet([spec("a", 5, port)]):
        agent.once(within_s=10)
    again = agent_at(**ranges(port))
    (machine,) = again.inventory.all()
    assert (machine.miner_id, machine.address) == ("SIM000000001", Address("127.0.73.5", port))


def test_listed_miner_that_was_replaced_at_its_address_is_read_on(agent_at, server, port):
    listed = [spec("slot-1", 1, port, seed=1)]
    agent = agent_at(specs=[])
    (agent.config.folder / "miners.csv").write_text(f"miner_id,ip_address,port\nslot-1,127.0.73.1,{port}\n")
    agent = agent_at()
    with SimulatedFleet(listed):
        agent.once(within_s=10)
    with SimulatedFleet([replace(listed[0], seed=77)]):
        agent.once(within_s=10)
    assert [record["online"] for record in server.records] == [True, True]


def test_miner_that_is_nowhere_is_reported_with_its_reason(agent_at, server, port):
    agent = agent_at(specs=[])
    (agent.config.folder / "miners.csv").write_text("miner_id,ip_address\nlost,\n")
    agent = agent_at()
    agent.once(within_s=10)
    (record,) = server.records
    assert (record["miner_id"], record["online"], record["error_type"]) == ("lost", False, "unknown_address")


def test_silent_miner_is_asked_ever_more_rarely_but_within_five_minutes(agent_at, server, port):
    agent = agent_at(specs=[spec("a", 1, port), spec("b", 2, port)], loop={"interval_s": 60, "jitter_s": 1})
    with SimulatedFleet([spec("a", 1, port), spec("b", 2, port)]) as fleet:
        fleet.set_state("a", State.REFUSED)
        for _ in range(20):
            agent.round()
    agent.uplink.drain(within_s=10)
    asked = [record["miner_id"] for record in server.records]
    assert asked.count("b") == 20
    assert 5 <= asked.count("a") <= 12


@pytest.mark.parametrize(
    ("text", "words"),
    [("10.0.0", "no address range"), ("8.8.8.0/24", "no private"), ("10.0.0.0/8", "too many"), ("fd00::/64", "no private IPv4")],
)
def test_range_that_cannot_be_searched_is_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        addresses_in([text], port=4028)
