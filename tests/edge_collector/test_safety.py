"""Local safety: when it acts, when it does not, and that each act is told."""

from __future__ import annotations

import pytest

from cgminer.simulator import MinerSpec, SimulatedFleet
from cgminer.snapshot import Snapshot
from edge_collector.agent import Agent
from tests.edge_collector.makers import make_config
from tests.ports import free_port
from tests.servers import wait_until

made: list[Agent] = []
BRAIINS = "Antminer S19 Pro (Braiins OS)"


@pytest.fixture
def specs():
    port = free_port()
    return [MinerSpec(miner_id=f"m{number}", host=f"127.0.74.{number}", port=port, model=BRAIINS, seed=number) for number in (1, 2, 3)]


@pytest.fixture
def fleet(specs):
    with SimulatedFleet(specs) as fleet:
        yield fleet


@pytest.fixture
def agent(specs, fleet, tmp_path):
    """Readings are handed in, so that each test has the temperatures it needs; acts go to the simulated miners."""
    return make_agent(tmp_path, specs)


@pytest.fixture(autouse=True)
def _all_closed():
    yield
    while made:
        made.pop().close()


def make_agent(folder, specs, **safety):
    settings = {"enabled": True, "act_at_c": 90, "clear_at_c": 70, "readings": 2, **safety}
    made.append(Agent(make_config(folder, specs=specs, safety=settings, commands={"effect_s": 3})))
    return made[-1]


def reading(agent, temperature, *miners):
    for miner in miners or ("m1",):
        agent.guard.look(miner, Snapshot(temperature_max=temperature))
    agent.guard.end_of_round()


def told(fleet):
    return [(event.miner_id, event.command) for event in fleet.control_events]


def acts(agent):
    return [event for event in agent.outbox.take() if event["kind"] == "safety_action"]


def wait_for(agent, count):
    wait_until(lambda: len(acts(agent)) >= count, timeout_s=10, what="the events of the act")
    return acts(agent)


def test_it_does_nothing_while_it_is_off(specs, fleet, tmp_path):
    agent = make_agent(tmp_path, specs, enabled=False)
    for _ in range(5):
        reading(agent, 120)
    assert (told(fleet), acts(agent)) == ([], [])


def test_overheated_miner_is_disabled_once_and_the_server_told_before_and_after(agent, fleet):
    for temperature in (95, 96, 97, 98):
        reading(agent, temperature)
    begun, done = wait_for(agent, 2)
    assert told(fleet) == [("m1", "pause")]
    assert (begun["miner_id"], begun["details"]["action"], begun["details"]["stage"]) == ("m1", "disable", "begun")
    assert (done["details"]["stage"], done["details"]["outcome"], done["details"]["act_at_c"]) == ("done", "completed", 90)
    assert "96 °C" in begun["message"]


@pytest.mark.parametrize("temperatures", [(95, 80, 95, 80, 95), (89.9,) * 6, (None, 95, None), (95,)])
def test_single_or_lower_readings_do_nothing(agent, fleet, temperatures):
    for temperature in temperatures:
        reading(agent, temperature)
    assert acts(agent) == []


def test_between_the_limits_nothing_changes_and_below_it_is_over(agent, fleet):
    for temperature in (95, 95):
        reading(agent, temperature)
    wait_for(agent, 2)
    for temperature in (80, 75, 71, 69, 80, 69):
        reading(agent, temperature)
    assert len(acts(agent)) == 2
    for temperature in (69, 68):
        reading(agent, temperature)
    assert acts(agent)[-1]["details"]["action"] == "clear"
    assert told(fleet) == [("m1", "pause")]


def test_cooled_miner_is_enabled_again_where_that_is_wanted_also_after_a_restart(specs, fleet, tmp_path):
    first = make_agent(tmp_path, specs, enable_again=True)
    for temperature in (95, 95):
        reading(first, temperature)
    wait_for(first, 2)
    first.close()
    second = make_agent(tmp_path, specs, enable_again=True)
    for temperature in (95, 95, 60, 60):
        reading(second, temperature)
    wait_for(second, 4)
    assert told(fleet) == [("m1", "pause"), ("m1", "resume")]


def test_report_alone_touches_nothing(specs, fleet, tmp_path):
    agent = make_agent(tmp_path, specs, action="report")
    for _ in range(4):
        reading(agent, 99)
    (event,) = acts(agent)
    assert (event["details"]["action"], event["details"]["stage"]) == ("report", "done")
    assert told(fleet) == []


def test_broken_sensors_do_not_switch_a_farm_off_at_once(specs, fleet, tmp_path):
    agent = make_agent(tmp_path, specs, most_per_round=1)
    for _ in range(2):
        reading(agent, 99, "m1", "m2", "m3")
    assert len([event for event in acts(agent) if event["details"]["stage"] == "begun"]) == 1


def test_real_readings_reach_it(specs, fleet, tmp_path):
    agent = make_agent(tmp_path, specs, act_at_c=40, clear_at_c=20, readings=1)
    agent.round()
    wait_until(lambda: len(told(fleet)) == 3, timeout_s=10, what="three acts")
