"""Control commands do to a simulated miner what they do to a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerError, MinerReplyError, UnsupportedCommand
from cgminer.simulator import ControlEvent, MinerSpec, SimulatedFleet
from cgminer.snapshot import Snapshot
from tests.cgminer.strange_servers import wait_until
from tests.ports import free_port

MINERS = {
    "antminer": "Antminer S19",
    "vnish": "Antminer S19j Pro (Vnish)",
    "braiins": "Antminer S19 Pro (Braiins OS)",
    "luxos": "Antminer S19k Pro (LuxOS)",
    "whatsminer": "Whatsminer M30S++",
    "whatsminer 2023": "Whatsminer M50",
}


class Farm:
    """A fleet with one miner of each firmware, and the clients to command them."""

    def __init__(self, log: Path) -> None:
        port = free_port()
        specs = [
            MinerSpec(miner_id=name, host=f"127.0.56.{index}", port=port, model=model, seed=index)
            for index, (name, model) in enumerate(MINERS.items(), start=1)
        ]
        specs.append(MinerSpec(miner_id="locked", host="127.0.56.90", port=port, privileged=False))
        self.log = log
        self.told: list[ControlEvent] = []
        self.fleet = SimulatedFleet(specs, latency=(0, 0), restart_s=0.4, on_control=self.told.append, control_log=log)

    def ask(self, miner: str, command: str, parameter: str | None = None) -> dict[str, Any]:
        spec = self.fleet.miner(miner).spec
        return MinerClient(Address(spec.host, spec.port), retries=RetryPolicy(attempts=1)).request(command, parameter)

    def read(self, miner: str) -> Snapshot:
        spec = self.fleet.miner(miner).spec
        return MinerClient(Address(spec.host, spec.port), retries=RetryPolicy(attempts=1)).read_snapshot().snapshot

    def answers(self, miner: str) -> bool:
        try:
            self.read(miner)
        except MinerError:
            return False
        return True

    def pool_in_use(self, miner: str) -> str:
        return next(pool.url for pool in self.read(miner).pools if pool.active)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path / "control.jsonl")
    with farm.fleet:
        yield farm


def code(reply: dict[str, Any]) -> int:
    return int(reply["STATUS"][0]["Code"])


def test_restart_answers_goes_away_and_starts_counting_again(farm: Farm) -> None:
    before = farm.read("antminer").uptime_seconds
    assert farm.ask("antminer", "restart") == {"STATUS": "RESTART", "id": 1}
    with pytest.raises(MinerConnectionError, match="refused"):
        farm.ask("antminer", "summary")
    wait_until(lambda: farm.answers("antminer"))
    after = farm.read("antminer").uptime_seconds
    assert before is not None
    assert after is not None
    assert after < 5 < before


def test_switchpool_puts_the_other_pool_in_use(farm: Farm) -> None:
    assert code(farm.ask("antminer", "switchpool", "2")) == 27
    assert farm.pool_in_use("antminer") == "stratum+tcp://pool-c.example.com:3333"


def test_shares_are_counted_for_the_pool_that_got_them(farm: Farm) -> None:
    before = farm.read("antminer").pools[0].accepted_shares
    farm.ask("antminer", "switchpool", "1")
    pools = farm.read("antminer").pools
    assert pools[0].accepted_shares == before
    assert (pools[1].accepted_shares or 0) <= 1


def test_added_pool_is_there_but_not_in_use(farm: Farm) -> None:
    assert code(farm.ask("antminer", "addpool", "stratum+tcp://new.example.com:3333,farm.m1,x")) == 55
    pools = farm.read("antminer").pools
    assert [(pool.url, pool.user, pool.active) for pool in pools][3] == ("stratum+tcp://new.example.com:3333", "farm.m1", False)


def test_commas_in_the_parts_of_a_pool_are_escaped(farm: Farm) -> None:
    farm.ask("antminer", "addpool", r"stratum+tcp://new.example.com:3333,farm\,one,x\\y")
    assert farm.fleet.miner("antminer").pools[3].user == "farm,one"
    assert farm.fleet.miner("antminer").pools[3].password == "x\\y"


def test_pool_that_was_not_saved_is_lost_by_a_restart(farm: Farm) -> None:
    for miner in ("antminer", "vnish"):
        farm.ask(miner, "addpool", "stratum+tcp://new.example.com:3333,farm.m1,x")
    farm.ask("vnish", "save")
    for miner in ("antminer", "vnish"):
        farm.ask(miner, "restart")
    wait_until(lambda: farm.answers("antminer") and farm.answers("vnish"))
    assert [len(farm.read(miner).pools) for miner in ("antminer", "vnish")] == [3, 4]


def test_pool_in_use_cannot_be_removed_and_another_can(farm: Farm) -> None:
    with pytest.raises(MinerReplyError, match="Cannot remove active pool"):
        farm.ask("antminer", "removepool", "0")
    assert code(farm.ask("antminer", "removepool", "1")) == 68
    assert len(farm.read("antminer").pools) == 2


def test_pool_can_be_disabled_and_enabled_again(farm: Farm) -> None:
    assert code(farm.ask("antminer", "disablepool", "0")) == 48
    assert farm.pool_in_use("antminer") == "stratum+tcp://pool-b.example.com:3333"
    assert code(farm.ask("antminer", "enablepool", "0")) == 47
    assert code(farm.ask("antminer", "enablepool", "0")) == 49


def test_poolpriority_puts_the_first_named_in_use(farm: Farm) -> None:
    assert code(farm.ask("antminer", "poolpriority", "2,0,1")) == 73
    assert farm.pool_in_use("antminer") == "stratum+tcp://pool-c.example.com:3333"


@pytest.mark.parametrize(
    ("command", "parameter", "message"),
    [("switchpool", "9", "Invalid pool id 9"), ("switchpool", None, "Missing"), ("addpool", "x", "Invalid")],
)
def test_nonsense_is_answered_with_an_error_and_changes_nothing(farm: Farm, command: str, parameter: str | None, message: str) -> None:
    with pytest.raises(MinerReplyError, match=message):
        farm.ask("antminer", command, parameter)
    assert farm.pool_in_use("antminer") == "stratum+tcp://pool-a.example.com:3333"
    assert len(farm.read("antminer").pools) == 3


def test_whatsminer_counts_its_pools_from_one(farm: Farm) -> None:
    farm.ask("whatsminer", "switchpool", "2")
    assert farm.pool_in_use("whatsminer") == "stratum+tcp://pool-b.example.com:3333"


def test_disabling_every_board_stops_the_hashing_and_enabling_brings_it_back(farm: Farm) -> None:
    for board in "012":
        assert code(farm.ask("antminer", "ascdisable", board)) == 111
    assert farm.read("antminer").hashrate_5s_ghs == 0
    for board in "012":
        assert code(farm.ask("antminer", "ascenable", board)) == 110
    assert farm.read("antminer").hashrate_5s_ghs == pytest.approx(95_000, rel=0.06)


@pytest.mark.parametrize(
    ("miner", "off", "on"),
    [
        ("whatsminer", ("power_off", None), ("power_on", None)),
        ("braiins", ("pause", None), ("resume", None)),
        ("luxos", ("curtail", "{session},sleep"), ("curtail", "{session},wakeup")),
    ],
)
def test_miner_that_is_put_to_sleep_stops_hashing_and_comes_back(
    farm: Farm, miner: str, off: tuple[str, str | None], on: tuple[str, str | None]
) -> None:
    session = farm.ask(miner, "logon")["SESSION"][0]["SessionID"] if miner == "luxos" else ""
    farm.ask(miner, off[0], off[1] and off[1].format(session=session))
    assert not farm.read(miner).hashrate_5s_ghs
    farm.ask(miner, on[0], on[1] and on[1].format(session=session))
    assert (farm.read(miner).hashrate_5s_ghs or 0) > 50_000


def test_luxos_wants_a_session(farm: Farm) -> None:
    with pytest.raises(MinerReplyError, match="session"):
        farm.ask("luxos", "curtail", "wrong,sleep")


def test_miner_without_privileged_access_answers_45(farm: Farm) -> None:
    with pytest.raises(MinerAccessDenied, match="privileged"):
        farm.ask("locked", "privileged")
    with pytest.raises(MinerAccessDenied, match="switchpool"):
        farm.ask("locked", "switchpool", "1")
    assert farm.pool_in_use("locked") == "stratum+tcp://pool-a.example.com:3333"


def test_newer_whatsminer_refuses_plain_control_commands(farm: Farm) -> None:
    with pytest.raises(MinerAccessDenied):
        farm.ask("whatsminer 2023", "power_off")
    assert (farm.read("whatsminer 2023").hashrate_5s_ghs or 0) > 50_000


def test_stock_firmware_does_not_know_frequency_or_fan_commands(farm: Farm) -> None:
    for command in ("setconfig", "fanctrl", "asclock", "gpuenable"):
        with pytest.raises(UnsupportedCommand):
            farm.ask("antminer", command, "1")


def test_control_command_inside_a_join_is_refused(farm: Farm) -> None:
    reply = json.loads(farm.fleet.miner("antminer").read("summary+restart", 1_790_000_000) or "")
    assert reply["restart"][0]["STATUS"][0]["Code"] == 45
    assert "SUMMARY" in reply["summary"][0]


def test_every_control_command_is_told_and_logged_and_reads_are_not(farm: Farm) -> None:
    farm.ask("antminer", "switchpool", "1")
    farm.ask("antminer", "summary")
    with pytest.raises(MinerAccessDenied):
        farm.ask("locked", "restart")
    logged = [json.loads(line) for line in farm.log.read_text().splitlines()]
    expected = [("antminer", "switchpool", "1", "S 27"), ("locked", "restart", "", "E 45")]
    assert [(line["miner_id"], line["command"], line["parameter"], line["answer"]) for line in logged] == expected
    assert [(event.miner_id, event.command, event.parameter, event.answer) for event in farm.told] == expected
