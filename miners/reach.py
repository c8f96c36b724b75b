"""Where this server looks for miners when a person names a place: in the farm's network, and not at itself.

Whoever may edit an address or search a range would otherwise reach, through this server, what listens on it for itself alone.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from django.conf import settings
from django.utils.translation import gettext as _

from cgminer.address import Address, resolve
from cgminer.errors import MinerError

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_LINUX_ROUTES: Final = Path("/proc/net/fib_trie")
_OWN_IN_ROUTES: Final = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


class NotAsked(MinerError):
    """Nothing is sent to this address. The message says why."""

    error_type = "not_asked"


def within_reach(address: Address) -> Address:
    """The place that `address` names, as a number: a name that is looked up once cannot lead elsewhere when it is connected to.

    May block for a name. Raises MinerNameError and NotAsked.
    """
    _family, where = resolve(address)
    if reason := why_not(ipaddress.ip_address(where[0].partition("%")[0])):
        raise NotAsked(f"{address}: {reason}")
    return Address(where[0], where[1])


def why_not(ip: IP) -> str:
    """Why no miner is looked for there; empty when one may be."""
    place = getattr(ip, "ipv4_mapped", None) or ip
    if place.is_multicast or place.is_unspecified or place.is_link_local or (place.version == 4 and place.is_reserved):
        return _("no miner has such an address")
    if (place.is_loopback or is_own(place)) and not settings.LOCAL_MINERS:
        return _("this is the server itself; where simulated miners run on it, set HASHINSIGHT_LOCAL_MINERS=true")
    return ""


def refusal() -> Callable[[str], MinerError | None]:
    """For a round of many miners: what to report of a host, given as a number, instead of asking it; None where it may be asked.

    This machine's own addresses are looked up once, here, so that a miner costs no look at the system.
    """
    if settings.LOCAL_MINERS:
        return lambda host: None
    own = _own_hosts()

    def refuse(host: str) -> MinerError | None:
        if own is not None and ":" not in host and not host.startswith(("127.", "0.")):
            return _not_asked(host) if host in own else None
        return _not_asked(host)

    return refuse


def _not_asked(host: str) -> NotAsked | None:
    reason = why_not(ipaddress.ip_address(host.partition("%")[0]))
    return NotAsked(f"{host}: {reason}") if reason else None


def _own_hosts() -> frozenset[str] | None:
    """IPv4 addresses of this machine as Linux lists them; None where it must be asked of each."""
    try:
        return frozenset(_OWN_IN_ROUTES.findall(_LINUX_ROUTES.read_text()))
    except OSError:
        return None


def is_own(ip: IP) -> bool:
    """Whether it is an address of this machine: what is sent to oneself leaves from there. Nothing is sent."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(ip), 9))
            source = ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
        except OSError:
            return False
    return source == ip or ip.is_loopback
