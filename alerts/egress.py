"""Where notifications may go: to public addresses, and to the private networks that the operator allows.

An address is checked when a socket connects to it, not when its name is looked up: a name that changes between two look-ups ends at the
same check, and so does a redirect. Python reports each connection as an audit event (PEP 578, "socket.connect"), whatever library opens it.
"""

from __future__ import annotations

import ipaddress
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that a gateway connects to."""


class AddressRefused(OSError):
    """A connection to a place that notifications must not reach; an OSError, so that every client takes it for one that failed."""


@dataclass(slots=True)
class Guard:
    """The networks that this thread may connect to beside public addresses, and what was refused meanwhile."""

    networks: list[Network]
    refused: list[str] = field(default_factory=list)

    def check(self, host: object) -> None:
        try:
            address = ipaddress.ip_address(str(host).partition("%")[0])
        except ValueError:  # a name, or the path of a local socket
            address = None
        if address is None or not self.permits(address):
            self.refused.append(str(host))
            raise AddressRefused(f"{host} is not a public address")

    def permits(self, address: Address) -> bool:
        reached = _reached(address)
        if any(reached in network or address in network for network in self.networks):
            return True
        return reached.is_global and not reached.is_multicast


def _reached(address: Address) -> Address:
    """The IPv4 address behind an IPv6 one that only wraps it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


_thread = threading.local()
_installing = threading.Lock()
_installed = False


@contextmanager
def guarded() -> Iterator[Guard]:
    """Within the body, this thread connects only where notifications may go; elsewhere nothing changes."""
    _install()
    _thread.guard = guard = Guard(networks=[ipaddress.ip_network(text, strict=False) for text in settings.ALERT_ALLOWED_NETWORKS])
    try:
        yield guard
    finally:
        _thread.guard = None


def _install() -> None:
    """Once a process; a hook can't be removed, and without a guard in its thread it does nothing."""
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_on_event)
            _installed = True


def _on_event(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return
    guard: Guard | None = getattr(_thread, "guard", None)
    if guard is None:
        return
    address = arguments[1]
    guard.check(address[0] if isinstance(address, tuple) else address)
