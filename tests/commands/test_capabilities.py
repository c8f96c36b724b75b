"""A command that a miner cannot carry out is refused when it is asked for, in plain words."""

from __future__ import annotations

import pytest

from commands import capabilities, dispatch
from commands.dispatch import Order
from commands.models import MinerCommand
from commands.params import InvalidCommand
from sites.models import Site
from tests.makers import NOON, make_live, make_miner, make_miner_model, make_site

pytestmark = pytest.mark.django_db


def ask(*miners, command="disable", **params):
    return dispatch.create_commands(miners, Order(command=command, params=params), requested_by=None, now=NOON)


def a_miner(reported="Antminer S19", version="49.0.1.3", **fields):
    miner = make_miner(**fields)
    make_live(miner, model=reported, firmware_version=version)
    return miner


def test_firmware_that_cannot_is_named_with_what_it_can_do():
    with pytest.raises(InvalidCommand, match=r"stock Antminer firmware cannot do disable.*it can do restart, set_pool") as caught:
        ask(a_miner())
    assert caught.value.field == "command"
    assert not MinerCommand.objects.exists()


def test_other_firmware_on_the_same_model_is_asked():
    assert ask(a_miner(version="2024.9.27.210123"))


def test_one_that_cannot_refuses_the_whole_order_and_the_others_are_counted():
    site = make_site()
    miners = [a_miner(site=site), a_miner(site=site), a_miner("Whatsminer M50", "20230911.12.REL", site=site)]
    with pytest.raises(InvalidCommand, match="1 more of the 3 miners"):
        ask(*miners)


def test_unknown_firmware_is_given_the_benefit_of_the_doubt():
    assert ask(make_miner())
    assert ask(a_miner(version=None))


def test_model_of_the_maker_that_lacks_the_command_is_refused():
    model = make_miner_model("AvalonMiner A1047", capabilities=["reboot", "set_pool", "set_fan"])
    with pytest.raises(InvalidCommand, match="AvalonMiner A1047 with Avalon firmware cannot do disable"):
        ask(a_miner("AvalonMiner 1047", None, model=model))


def test_third_party_firmware_brings_its_own_abilities():
    model = make_miner_model(capabilities=["restart", "set_pool"])
    assert ask(a_miner(version="2024.9.27.210123", model=model))


def test_a_parameter_that_the_firmware_does_not_take_is_refused():
    with pytest.raises(InvalidCommand, match="15 to 100"):
        ask(a_miner("AvalonMiner 1246", None), command="set_fan", speed=10)


def test_miners_of_an_edge_collector_are_only_doubted():
    site = make_site(collection=Site.Collection.COLLECTOR)
    miner = make_miner(site, model=make_miner_model(capabilities=["restart"]))
    make_live(miner, firmware_version="49.0.1.3")
    assert ask(miner)
    assert capabilities.doubtful([miner], "disable") == [miner]
    assert capabilities.doubtful([miner], "restart") == []
