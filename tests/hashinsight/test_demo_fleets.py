"""The demo's miners, without any process."""

from __future__ import annotations

import socket

import pytest

from cgminer.simulator import State
from hashinsight.demo.farm import FJORD, LEFT_TO_DISCOVERY, NORTH, SITES, load_farm
from hashinsight.demo.fleets import build_fleets, free_port
from miners.models import Miner
from sites.models import Site
from tests.makers import make_miner_model


def test_every_miner_has_a_name_and_an_address_of_its_own() -> None:
    specs = build_fleets(500, port=4028).specs
    assert len({spec.miner_id for spec in specs}) == 500
    assert len({(spec.host, spec.port) for spec in specs}) == 500


def test_a_hundred_miners_have_every_kind_of_trouble() -> None:
    assert {spec.state for spec in build_fleets(100, port=4028).specs} == set(State)


def test_busy_miner_port_is_passed_over() -> None:
    first = build_fleets(10, port=4028).specs[0]
    with socket.create_server((first.host, 0)) as other:
        busy = other.getsockname()[1]
        assert free_port(10, ports=(busy, 61_234)) == 61_234


@pytest.mark.django_db
def test_farm_of_a_smaller_fleet_switches_the_others_off() -> None:
    load_farm(build_fleets(40, port=4028))
    load_farm(build_fleets(20, port=14_028))
    north = Miner.objects.filter(site__code=NORTH)
    assert (north.count(), north.filter(is_enabled=True, port=14_028).count()) == (24, 12)


@pytest.mark.django_db
def test_farm_keeps_what_an_operator_changed() -> None:
    load_farm(build_fleets(20, port=4028))
    Site.objects.filter(code=NORTH).update(name="My farm")
    Miner.objects.filter(miner_id="H1A-01").update(notes="Fan changed.", rack="9Z")
    load_farm(build_fleets(20, port=4028))
    assert Site.objects.get(code=NORTH).name == "My farm"
    assert Miner.objects.get(miner_id="H1A-01").rack == "9Z"


@pytest.mark.django_db
def test_miners_have_a_place_and_their_model_and_the_last_are_left_to_discovery() -> None:
    model = make_miner_model("Antminer S21")
    load_farm(build_fleets(20, port=4028))
    assert Site.objects.count() == len(SITES)
    assert Miner.objects.filter(site__code=FJORD).count() == 8 - LEFT_TO_DISCOVERY
    assert Miner.objects.filter(model=model).exists()
    assert not Miner.objects.filter(rack="").exists()
