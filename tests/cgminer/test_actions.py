"""Each command type does on each firmware what it says, in that firmware's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cgminer.actions import Dialect, carry_out, dialect_of_report, supported, why_not
from cgminer.actions.control import WAYS
from cgminer.actions.sealing import md5_crypt
from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import ActionRefused, MinerAccessDenied, MinerConnectionError, MinerError, MinerTimeout
from cgminer.simulator import MinerSpec, SimulatedFleet, State
from cgminer.simulator.catalogue import MODELS
from cgminer.simulator.miner import SimulatedMiner
from tests.cgminer.strange_servers import JOINED_REPLY, StrangeServer
from tests.ports import free_port

POOL = {"pool_url": "stratum+tcp://new.example.com:3333", "pool_user": "farm,one", "pool_password": "p\\w"}
DIALECTS = {
    "Antminer S9": Dialect.ANTMINER,
    "Antminer S19": Dialect.ANTMINER,
    "Antminer S21": Dialect.ANTMINER,
    "Antminer S19 Pro (Braiins OS)": Dialect.BRAIINS,
    "Antminer S19k Pro (LuxOS)": Dialect.LUXOS,
    "Antminer S19j Pro (Vnish)": Dialect.VNISH,
    "Whatsminer M30S++": Dialect.WHATSMINER,
    "Whatsminer M50": Dialect.WHATSMINER,
    "Avalon A1246": Dialect.AVALON,
}
CAN = sorted((model, command) for model, dialect in DIALECTS.items() for command in supported(dialect))
PREPARATIONS = ("logon", "logoff", "get_token")
PARAMS: dict[str, dict[str, Any]] = {"set_pool": POOL, "set_fan": {"speed": 60}, "set_frequency": {"frequency": 500}}


class Farm:
    def __init__(self) -> None:
        port = free_port()
        specs = [
            MinerSpec(miner_id=name, host=f"127.0.57.{index}", port=port, model=name, seed=index, admin_password="s3cret")
            for index, name in enumerate(MODELS, start=1)
        ]
        specs.append(MinerSpec(miner_id="locked", host="127.0.57.90", port=port, privileged=False))
        self.fleet = SimulatedFleet(specs, latency=(0, 0), restart_s=0.3)

    def client(self, miner: str) -> MinerClient:
        spec = self.fleet.miner(miner).spec
        return MinerClient(Address(spec.host, spec.port), timeouts=Timeouts(receive_s=1.0), retries=RetryPolicy(attempts=1))

    def do(self, miner: str, command: str, params: dict[str, Any] | None = None, *, password: str | None = "s3cret") -> Any:
        return carry_out(self.client(miner), command, params if params is not None else PARAMS.get(command, {}), password=password)

    def told(self, miner: str) -> list[str]:
        """The control commands that reached the miner, without those that only prepare one."""
        events = [event for event in self.fleet.control_events if event.miner_id == miner]
        return [event.command for event in events if event.command not in PREPARATIONS]


@pytest.fixture
def farm() -> Iterator[Farm]:
    farm = Farm()
    with farm.fleet:
        yield farm


EFFECTS: dict[str, Callable[[SimulatedMiner], object]] = {
    "disable": lambda miner: miner.asleep,
    "restart": lambda miner: miner.away_until > 0,
    "reboot": lambda miner: miner.away_until > 0,
    "set_pool": lambda miner: miner.pools[miner.pool_in_use].url == POOL["pool_url"],
    "set_fan": lambda miner: miner.fan_percent == 60,
    "set_frequency": lambda miner: miner.frequency_mhz == 500,
}


@pytest.mark.parametrize(("model", "command"), [pair for pair in CAN if pair[1] != "enable"])
def test_what_a_firmware_can_do_takes_effect(farm: Farm, model: str, command: str) -> None:
    assert not EFFECTS[command](farm.fleet.miner(model))
    done = farm.do(model, command)
    assert done.dialect == DIALECTS[model]
    assert EFFECTS[command](farm.fleet.miner(model))


@pytest.mark.parametrize("model", [model for model, command in CAN if command == "enable"])
def test_a_sleeping_miner_is_woken(farm: Farm, model: str) -> None:
    farm.do(model, "disable")
    assert farm.fleet.miner(model).asleep
    farm.do(model, "enable")
    assert not farm.fleet.miner(model).asleep


@pytest.mark.parametrize(("model", "command"), CAN)
def test_each_command_reaches_the_miner_once(farm: Farm, model: str, command: str) -> None:
    farm.do(model, command)
    told = farm.told(model)
    assert len(told) == len(set(told)) or command == "set_frequency"
    assert 1 <= len(told) <= 3


def test_what_was_before_and_what_is_after_are_reported(farm: Farm) -> None:
    done = farm.do("Antminer S19", "set_pool")
    assert done.before["pool_url"] == "stratum+tcp://pool-a.example.com:3333"
    assert (done.after["pool_url"], done.after["worker_name"]) == (POOL["pool_url"], "farm,one")


def test_commas_and_backslashes_of_a_pool_arrive_as_they_are(farm: Farm) -> None:
    farm.do("Antminer S19", "set_pool")
    pool = farm.fleet.miner("Antminer S19").pools[-1]
    assert (pool.user, pool.password) == ("farm,one", "p\\w")


def test_configured_pool_is_switched_to_by_its_number(farm: Farm) -> None:
    farm.do("Antminer S19", "set_pool", {"pool_id": 2})
    assert farm.fleet.miner("Antminer S19").pool_in_use == 2
    assert farm.told("Antminer S19") == ["switchpool"]


def test_whatsminer_keeps_its_other_pools_as_backups(farm: Farm) -> None:
    farm.do("Whatsminer M50", "set_pool")
    urls = [pool.url for pool in farm.fleet.miner("Whatsminer M50").pools]
    assert urls == [POOL["pool_url"], "stratum+tcp://pool-a.example.com:3333", "stratum+tcp://pool-b.example.com:3333"]


def test_whatsminer_refuses_a_wrong_password(farm: Farm) -> None:
    with pytest.raises(MinerError) as caught:
        farm.do("Whatsminer M50", "disable", password="wrong")
    assert not farm.fleet.miner("Whatsminer M50").asleep
    assert farm.told("Whatsminer M50") == []
    assert "password" in str(caught.value)


def test_whatsminer_without_a_stored_password_is_not_touched(farm: Farm) -> None:
    with pytest.raises(ActionRefused, match="admin password"):
        farm.do("Whatsminer M50", "reboot", password=None)


def test_luxos_session_is_ended_afterwards(farm: Farm) -> None:
    farm.do("Antminer S19k Pro (LuxOS)", "disable")
    commands = [event.command for event in farm.fleet.control_events]
    assert commands == ["logon", "curtail", "logoff"]


def test_what_a_firmware_cannot_do_is_not_sent(farm: Farm) -> None:
    with pytest.raises(ActionRefused, match="stock Antminer firmware cannot do disable"):
        farm.do("Antminer S19", "disable")
    assert farm.fleet.control_events == []


def test_access_denied_is_told_and_nothing_was_done(farm: Farm) -> None:
    with pytest.raises(MinerAccessDenied) as caught:
        farm.do("locked", "restart")
    assert "api" in str(caught.value).lower()


def test_miner_that_is_off_was_surely_not_reached(farm: Farm) -> None:
    farm.fleet.set_state("Antminer S19", State.REFUSED)
    with pytest.raises(MinerConnectionError) as caught:
        farm.do("Antminer S19", "restart")
    assert caught.value.sent is False


def test_hung_miner_was_surely_not_commanded(farm: Farm) -> None:
    farm.fleet.set_state("Antminer S19", State.DEAD)
    with pytest.raises(MinerTimeout) as caught:
        farm.do("Antminer S19", "restart")
    assert caught.value.sent is False
    assert farm.fleet.control_events == []


def test_silence_after_a_control_command_leaves_it_open_whether_it_was_carried_out() -> None:
    def answer_reads_only(connection: Any, ends: Any) -> None:
        if b"restart" in server.requests[-1]:
            ends.wait(5)
        else:
            connection.sendall(JOINED_REPLY)

    with StrangeServer(answer_reads_only) as server:
        client = MinerClient(server.address, timeouts=Timeouts(receive_s=0.3))
        with pytest.raises(MinerTimeout) as caught:
            carry_out(client, "restart", {})
    assert caught.value.sent is True
    assert sum(b"restart" in request for request in server.requests) == 1


def test_avalon_takes_no_fan_speed_below_its_least() -> None:
    assert "15 to 100" in (why_not(Dialect.AVALON, "set_fan", {"speed": 10}) or "")
    assert why_not(Dialect.AVALON, "set_fan", {"speed": 15}) is None


@pytest.mark.parametrize(
    ("model", "version", "dialect"),
    [
        ("Antminer S19k Pro", "2024.9.27.210123", Dialect.LUXOS),
        ("Antminer S19 Pro", "boser-openwrt 0.1.0-26ba61b9", Dialect.BRAIINS),
        ("Antminer S19j Pro", "Vnish 1.2.6", Dialect.VNISH),
        ("Antminer S19", "49.0.1.3", Dialect.ANTMINER),
        ("Antminer S19", None, None),
        ("Whatsminer M50", "20230911.12.REL", Dialect.WHATSMINER),
        ("AvalonMiner 1246", None, Dialect.AVALON),
        (None, None, None),
    ],
)
def test_firmware_is_told_from_what_is_stored_of_a_miner(model: str | None, version: str | None, dialect: Dialect | None) -> None:
    assert dialect_of_report(model=model, firmware_version=version) == dialect


def test_every_dialect_has_a_way_for_what_it_supports_and_no_other() -> None:
    assert {dialect: frozenset(ways) for dialect, ways in WAYS.items()} == {dialect: supported(dialect) for dialect in Dialect}


def test_md5_crypt_is_the_one_of_every_unix() -> None:
    assert md5_crypt("admin", "BQ5hoXV9") == "RxmaDUO33TS7O26yeMHZ81"  # openssl passwd -1 -salt BQ5hoXV9 admin
    assert md5_crypt("", "x") == "fwjfZtMwarkdetsjiQreU1"
    assert md5_crypt("a very long password, longer than sixteen", "abcdefgh") == "aXPJbqWy3CVcRB9riSc3C/"
