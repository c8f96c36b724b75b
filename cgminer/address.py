"""Where a miner's API listens."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Any, TypeAlias

from cgminer.errors import MinerNameError

DEFAULT_PORT = 4028
API3_PORTS = (4433, 14_433, 24_433)
"""Where Whatsminer's API 3 is spoken; the first is the firmware's own."""

Endpoint: TypeAlias = tuple[int, Any]
"""An address family and what `connect` takes for it."""

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?\Z")
_BRACKETED = re.compile(r"\[(?P<host>[^\]]*)\](?::(?P<port>.*))?\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """Host (IPv4, IPv6 or name) and TCP port, checked by `parse`; built directly, it is taken as it is."""

    host: str
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str, *, default_port: int = DEFAULT_PORT) -> Address:
        """Read "HOST", "HOST:PORT", "[IPv6]" or "[IPv6]:PORT". Raises MinerNameError saying what is wrong."""
        host, port = _split(text.strip())
        if not host:
            raise MinerNameError(f'"{text}": the miner\'s host is missing; write HOST or HOST:PORT')
        return cls(_checked_host(host, text), default_port if port is None else _checked_port(port, text))

    @property
    def endpoint(self) -> Endpoint | None:
        """Where to connect, when the host is a number; None when it is a name that must be resolved first."""
        # inet_pton takes a third of a microsecond where ipaddress takes three; a round asks this for every miner.
        try:
            socket.inet_pton(socket.AF_INET, self.host)
        except OSError:
            return (socket.AF_INET6, (self.host, self.port)) if ":" in self.host else None
        return socket.AF_INET, (self.host, self.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve(address: Address) -> Endpoint:
    """Where to connect; IPv4 where a name has both, as miners do. May block for a name.

    Raises MinerNameError.
    """
    try:
        candidates = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MinerNameError(f'{address}: the name "{address.host}" does not resolve ({reason}); check the configuration') from error
    family, _, _, _, where = min(candidates, key=lambda candidate: candidate[0] != socket.AF_INET)
    return family, where


def _split(text: str) -> tuple[str, str | None]:
    bracketed = _BRACKETED.match(text)
    if bracketed:
        return bracketed["host"], bracketed["port"]
    if text.count(":") == 1:
        host, port = text.split(":")
        return host, port
    return text, None


def _checked_host(host: str, text: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # Only digits and dots can only be meant as IPv4: resolvers would read "10.0.5" as 10.0.0.5.
        looks_numeric = host.replace(".", "").isdigit()
        if len(host) > 253 or looks_numeric or not _NAME.match(host):
            raise MinerNameError(f'"{text}": "{host}" is neither an IP address nor a host name') from None
    return host


def _checked_port(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise MinerNameError(f'"{text}": the port must be a number from 1 to 65535')
    return int(port)
