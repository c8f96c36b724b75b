"""Where a person may send this server to look for a miner."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

from cgminer.address import Address
from cgminer.errors import MinerNameError
from miners.reach import NotAsked, is_own, refusal, within_reach


@pytest.fixture
def own_address() -> str | None:
    """The address from which this machine would send to another network; None where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.7", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
def test_nothing_is_asked_at_the_server_itself(settings, host: str) -> None:
    settings.LOCAL_MINERS = False
    with pytest.raises(NotAsked, match="the server itself"):
        within_reach(Address(host))


def test_simulated_miners_on_the_server_are_asked_where_the_setting_allows_it() -> None:
    assert within_reach(Address("127.0.0.1", 4029)) == Address("127.0.0.1", 4029)


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"])
def test_address_that_no_miner_has_is_not_asked(host: str) -> None:
    with pytest.raises(NotAsked, match="no miner has such an address"):
        within_reach(Address(host))


def test_miner_in_a_private_network_is_asked(settings) -> None:
    settings.LOCAL_MINERS = False
    assert within_reach(Address("10.254.253.252", 4028)) == Address("10.254.253.252", 4028)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::ffff:127.0.0.1"])
def test_round_does_not_ask_at_the_server_itself(settings, host: str) -> None:
    settings.LOCAL_MINERS = False
    assert isinstance(refusal()(host), NotAsked)


def test_round_asks_in_the_network_and_not_at_this_machines_own_addresses_there(settings, own_address: str | None) -> None:
    settings.LOCAL_MINERS = False
    refuse = refusal()
    assert refuse("10.254.253.252") is None
    assert refuse("fd00::17") is None
    if own_address:
        assert "this is the server itself" in str(refuse(own_address))


def test_round_knows_the_same_where_the_system_lists_no_addresses(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOCAL_MINERS = False
    monkeypatch.setattr("miners.reach._LINUX_ROUTES", Path("/nonexistent"))
    assert (refusal()("127.0.0.1") is None, refusal()("10.254.253.252") is None) == (False, True)


def test_round_asks_everywhere_where_the_setting_allows_it() -> None:
    assert refusal()("127.0.0.1") is None


def test_name_is_turned_into_the_number_that_was_looked_at() -> None:
    assert within_reach(Address("localhost", 4028)).host == "127.0.0.1"


def test_name_that_nobody_has_is_told() -> None:
    with pytest.raises(MinerNameError):
        within_reach(Address("no-such-miner.invalid"))


def test_own_addresses_are_known_without_a_list() -> None:
    assert [is_own(ipaddress.ip_address(text)) for text in ("127.0.0.1", "203.0.113.7")] == [True, False]
