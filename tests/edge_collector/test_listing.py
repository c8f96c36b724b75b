"""A changed list of miners counts from the next round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cgminer.address import Address
from cgminer.simulator import MinerSpec, SimulatedFleet, write_inventory
from edge_collector.agent import Agent
from edge_collector.inventory import Machine
from tests.edge_collector.makers import make_config
from tests.edge_collector.odd_server import OddServer
from tests.ports import free_port


@pytest.fixture
def specs():
    port = free_port()
    return [MinerSpec(miner_id=f"m{number}", host=f"127.0.79.{number}", port=port, seed=number) for number in (1, 2, 3)]


@pytest.fixture
def server():
    with OddServer() as odd:
        yield odd


@pytest.fixture
def agent(server, tmp_path, specs):
    agent = Agent(make_config(tmp_path, url=server.url, specs=specs[:2]))
    with SimulatedFleet(specs):
        yield agent
    agent.close()


def names_of_round(agent, server):
    """Of the second round: the first one only sees that the file is not written any more."""
    agent.once(within_s=10)
    del server.uploads[:]
    assert agent.once(within_s=10)
    return {record["miner_id"] for record in server.records if record["online"]}


def events_of(agent, kind):
    return [event for event in agent.outbox.take(100) if event["kind"] == kind]


def test_new_miner_is_read_and_one_that_is_gone_is_not(agent, server, specs, tmp_path):
    assert names_of_round(agent, server) == {"m1", "m2"}
    write_inventory(specs[1:], tmp_path / "miners.csv")

    assert names_of_round(agent, server) == {"m2", "m3"}


def test_other_address_in_the_list_counts(agent, server, specs, tmp_path):
    names_of_round(agent, server)
    moved = [MinerSpec(miner_id="m1", host=specs[2].host, port=specs[2].port)]
    write_inventory(moved, tmp_path / "miners.csv")

    assert names_of_round(agent, server) == {"m1"}
    assert str(agent.inventory.get("m1").address) == f"{specs[2].host}:{specs[2].port}"


def test_list_with_a_mistake_is_not_taken_and_the_server_hears_why(agent, server, tmp_path):
    names_of_round(agent, server)
    (tmp_path / "miners.csv").write_text("miner_id,ip_address\nm1,127.0.79.1\nm1,127.0.79.2\n")

    assert names_of_round(agent, server) == {"m1", "m2"}
    (event,) = events_of(agent, "configuration")
    assert "m1 was given before" in event["details"]["problems"][0]


def test_file_that_grows_is_left_alone_until_it_does_not(agent, server, specs, tmp_path):
    names_of_round(agent, server)
    path = tmp_path / "miners.csv"
    write_inventory(specs, path)
    whole = path.read_text()
    for end in (len(whole) // 2, len(whole)):
        path.write_text(whole[:end])
        agent.round()
        assert {machine.miner_id for machine in agent.inventory.all()} == {"m1", "m2"}

    assert names_of_round(agent, server) == {"m1", "m2", "m3"}


@pytest.mark.parametrize(
    "text", ["miner_id,ip_address\n", 'miner_id,ip_address\nm1,"127.0.79.1' + 140_000 * "1"], ids=["empty", "open quote"]
)
def test_list_that_names_nobody_or_cannot_be_read_is_not_taken(agent, server, tmp_path, text):
    names_of_round(agent, server)
    (tmp_path / "miners.csv").write_text(text)

    assert names_of_round(agent, server) == {"m1", "m2"}


def test_miner_found_in_a_range_keeps_its_place_when_the_list_names_it_without_one(agent, server, specs, tmp_path):
    names_of_round(agent, server)
    agent.inventory.put(Machine(miner_id="m3", address=Address(specs[2].host, specs[2].port), is_listed=False))
    write_inventory(specs[:2], tmp_path / "miners.csv")
    with (tmp_path / "miners.csv").open("a") as file:
        file.write("m3\n")

    assert names_of_round(agent, server) == {"m1", "m2", "m3"}


def test_miner_that_was_found_elsewhere_stays_there_when_its_row_did_not_change(agent, server, specs, tmp_path):
    names_of_round(agent, server)
    agent.inventory.put(replace(agent.inventory.get("m1"), address=None))
    write_inventory(specs, tmp_path / "miners.csv")
    names_of_round(agent, server)

    assert agent.inventory.get("m1").address is None
