"""Reading the address of a miner as people type it."""

from __future__ import annotations

import socket

import pytest

from cgminer.address import Address, resolve
from cgminer.errors import MinerNameError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.5", Address("10.0.0.5", 4028)),
        ("10.0.0.5:4029", Address("10.0.0.5", 4029)),
        ("  10.0.0.5  ", Address("10.0.0.5", 4028)),
        ("miner-7.farm.example", Address("miner-7.farm.example", 4028)),
        ("miner_7:14028", Address("miner_7", 14028)),
        ("[fd00::7]:4029", Address("fd00::7", 4029)),
        ("[fd00::7]", Address("fd00::7", 4028)),
        ("fd00::7", Address("fd00::7", 4028)),
    ],
)
def test_address_is_read_as_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":4028",
        "10.0.0.5:",
        "10.0.0.5:0",
        "10.0.0.5:65536",
        "10.0.0.5:x",
        "10.0.5",
        "10.0.0.256",
        "1",
        "-a",
        "a b",
        "a/b",
        "[fd00::7",
        "é:1",
        "[x]:1:2",
    ],
)
def test_nonsense_is_refused_with_the_text_in_the_message(text: str) -> None:
    with pytest.raises(MinerNameError, match=r"host|port|neither"):
        Address.parse(text)


def test_port_without_one_is_the_callers_default() -> None:
    assert Address.parse("10.0.0.5", default_port=4029).port == 4029


def test_address_prints_as_it_is_typed() -> None:
    assert [str(Address("10.0.0.5", 4028)), str(Address("fd00::7", 4028))] == ["10.0.0.5:4028", "[fd00::7]:4028"]


def test_numeric_addresses_need_no_resolving() -> None:
    families = [endpoint and endpoint[0] for endpoint in (Address("10.0.0.5").endpoint, Address("::1").endpoint, Address("miner").endpoint)]
    assert families == [socket.AF_INET, socket.AF_INET6, None]


def test_name_resolves_to_its_ipv4_address_first() -> None:
    assert resolve(Address("localhost", 4028)) == (socket.AF_INET, ("127.0.0.1", 4028))


def test_unknown_name_is_a_configuration_error() -> None:
    with pytest.raises(MinerNameError, match="check the configuration"):
        resolve(Address("no-such-miner.invalid"))
