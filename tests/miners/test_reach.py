"""Where a person may send this server to look for a miner."""

from __future__ import annotations

import ipaddress

import pytest

from cgminer.address import Address
from cgminer.errors import MinerNameError
from miners.reach import NotAsked, is_own, within_reach


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


def test_name_is_turned_into_the_number_that_was_looked_at() -> None:
    assert within_reach(Address("localhost", 4028)).host == "127.0.0.1"


def test_name_that_nobody_has_is_told() -> None:
    with pytest.raises(MinerNameError):
        within_reach(Address("no-such-miner.invalid"))


def test_own_addresses_are_known_without_a_list() -> None:
    assert [is_own(ipaddress.ip_address(text)) for text in ("127.0.0.1", "203.0.113.7")] == [True, False]
