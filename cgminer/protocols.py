"""The two protocols that miners are read in, told apart by the port.

Almost everything speaks CGMiner's API on 4028. Whatsminer firmware since the end of 2024 has its API 3 on 4433 and the old one closed as it
comes; 14433 and 24433 are the same, for miners behind a forwarded port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from cgminer import frames, reading, reading_api3, wire
from cgminer.address import API3_PORTS, DEFAULT_PORT, Address
from cgminer.reading import Dialogue


class ReadMiner(Protocol):
    def __call__(self, *, joined: bool | None = None, raw: dict[str, bytes] | None = None) -> Dialogue: ...


class MinerProtocol(NamedTuple):
    encode: Callable[..., bytes]
    """A command and its parameter, if any, as the bytes of one request; raises ValueError for what is not listed."""
    is_complete: Callable[[bytes | bytearray], bool]
    decode: Callable[[bytes], dict[str, Any]]
    check: Callable[[dict[str, Any], str], None]
    """Raises what a decoded reply to a command says of a failure."""
    is_read: Callable[[str], bool]
    """Whether a command changes nothing, so that it may be sent twice."""
    read_miner: ReadMiner


def _check_sections(document: dict[str, Any], command: str) -> None:
    for name, reply in wire.replies(document, command).items():
        wire.raise_for_status(reply, command=name)


def _check_code(document: Mapping[str, Any], command: str) -> None:
    frames.raise_for_code(document, command=command)


CGMINER: Final = MinerProtocol(
    encode=wire.encode,
    is_complete=wire.is_complete,
    decode=wire.decode,
    check=_check_sections,
    is_read=lambda command: wire.READ_COMMANDS.issuperset(command.split("+")),
    read_miner=reading.read_miner,
)
WHATSMINER_API3: Final = MinerProtocol(
    encode=frames.encode,
    is_complete=frames.is_complete,
    decode=frames.decode,
    check=_check_code,
    is_read=lambda command: command.partition(" ")[0] in frames.READS,
    read_miner=reading_api3.read_miner,
)
_OTHER_PORT: Final = {DEFAULT_PORT: API3_PORTS[0], API3_PORTS[0]: DEFAULT_PORT}


def protocol_at(port: int) -> MinerProtocol:
    return WHATSMINER_API3 if port in API3_PORTS else CGMINER


def elsewhere(address: Address) -> Address | None:
    """Where else the same machine may listen when this port is closed; None when its port is one of somebody's own choice."""
    port = _OTHER_PORT.get(address.port)
    return replace(address, port=port) if port else None
