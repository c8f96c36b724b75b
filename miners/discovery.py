"""Find miners in address ranges and compare them with a site's inventory.

    found = scan(addresses_in(["10.1.0.0/22"]))
    plan = plan_discovery(site, found)
    apply_discovery(plan)

A machine is recognised by its serial number, its MAC address or its worker, in this order; an address says only where something is. What
does not speak the protocol is never added.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from cgminer.address import DEFAULT_PORT, Address
from cgminer.client import RetryPolicy, Timeouts
from cgminer.poll import RoundPolicy, search
from cgminer.protocols import elsewhere
from cgminer.snapshot import Snapshot
from miners.identity import Identity
from miners.matching import ModelMatcher
from miners.models import Miner
from miners.reach import refusal
from sites.changes import note_changes
from sites.models import Site

MOST_ADDRESSES = 65_536
"""A /16; a larger search is a mistake more often than a farm."""
MOST_AT_ONCE = 1_000
"""Connections under way: gentle on switches, and 65,000 silent addresses take about a minute a second of patience."""
CONNECT_S, RECEIVE_S = 1.0, 4.0


class UnusableRange(Exception):
    """This is not a range to search; the message says why and what to write instead."""


def addresses_in(ranges: Iterable[str], *, port: int = DEFAULT_PORT) -> list[Address]:
    """Every host of the ranges once, in order, but this machine itself. Raises UnusableRange."""
    return [address for address, is_left_out in _hosts_of(ranges, port=port) if not is_left_out]


def left_out_of(ranges: Iterable[str]) -> list[Address]:
    """The hosts of the ranges that are this machine itself and are not asked. Raises UnusableRange."""
    return [address for address, is_left_out in _hosts_of(ranges, port=DEFAULT_PORT) if is_left_out]


def _hosts_of(ranges: Iterable[str], *, port: int) -> Iterator[tuple[Address, bool]]:
    networks = [_network(text) for text in ranges]
    wanted = sum(network.num_addresses for network in networks)
    if wanted > MOST_ADDRESSES:
        raise UnusableRange(f"{wanted:,} addresses are too many, at most {MOST_ADDRESSES:,} (a /16) at once: search the ranges one by one.")
    hosts = dict.fromkeys(host for network in networks for host in network.hosts())
    refuse = refusal()
    return ((Address(str(host), port), refuse(str(host)) is not None) for host in hosts)


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise UnusableRange(f"“{text}” is not an address range. Write one such as 10.1.0.0/22, or a single address.") from None
    if not isinstance(network, ipaddress.IPv4Network):
        raise UnusableRange(f"{text}: only IPv4 ranges are searched; IPv6 networks are too large to try every address.")
    if network.prefixlen < 16:
        raise UnusableRange(f"{text} has {network.num_addresses:,} addresses; the largest range is a /16 ({MOST_ADDRESSES:,} addresses).")
    if network.is_multicast or network.is_unspecified or network.is_reserved or network.is_link_local:
        raise UnusableRange(f"{text}: no miner has such an address.")
    if network.is_loopback and not settings.LOCAL_MINERS:
        raise UnusableRange(f"{text} is this server itself; where simulated miners run on it, set HASHINSIGHT_LOCAL_MINERS=true.")
    if network.is_global:
        raise UnusableRange(
            f"{text} is on the public internet. Miners are searched in private networks only (10/8, 172.16/12, 192.168/16)."
        )
    return network


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine that answered as a miner does, and what it says it is; empty where it does not say."""

    address: Address
    model: str = ""
    firmware: str = ""
    serial_number: str = ""
    mac_address: str = ""
    worker: str = ""
    """Of the pool in use."""

    @classmethod
    def from_snapshot(cls, address: Address, snapshot: Snapshot) -> Found:
        pool = snapshot.pool_in_use
        return cls(
            address=address,
            model=snapshot.model or "",
            firmware=snapshot.firmware_version or "",
            serial_number=snapshot.serial_number or "",
            mac_address=snapshot.mac_address or "",
            worker=(pool.user or "") if pool else "",
        )

    @property
    def identity(self) -> Identity:
        return Identity().completed(serial_number=self.serial_number, mac_address=self.mac_address)


@dataclass(slots=True)
class Scan:
    """What a search came to. `others` counts addresses without a readable miner, by class of error."""

    found: list[Found] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    denied: list[Address] = field(default_factory=list)
    """Something accepts connections there and hangs up: perhaps a miner that does not allow this machine."""


def scan(addresses: Sequence[Address], *, progress: Callable[[int], None] = lambda found: None) -> Scan:
    """Ask every address; `progress` is called after each, with the number found so far."""
    policy = RoundPolicy(
        quick_s=CONNECT_S,
        timeouts=Timeouts(connect_s=CONNECT_S, receive_s=RECEIVE_S),
        retry_timeouts=Timeouts(connect_s=CONNECT_S, receive_s=RECEIVE_S),
        retries=RetryPolicy(attempts=1),
        most_in_flight=MOST_AT_ONCE,
        deadline_s=60 + len(addresses) * (CONNECT_S + RECEIVE_S) / MOST_AT_ONCE,
    )
    result = Scan()
    for outcome in search(addresses, policy=policy):
        if outcome.snapshot is not None:
            result.found.append(Found.from_snapshot(outcome.address, outcome.snapshot))
        elif outcome.error is not None:
            result.others[outcome.error.error_type] += 1
            if outcome.error.error_type == "auth":
                result.denied.append(outcome.target.address)
        progress(len(result.found))
    return result


@dataclass(frozen=True, slots=True)
class Finding:
    """One found machine and the miner of the inventory it is. `before` is its former address when it moved."""

    found: Found
    miner: Miner
    before: str = ""


@dataclass(slots=True)
class DiscoveryPlan:
    """What the search would change. `displaced` are miners whose address now belongs to another machine: theirs is no longer known."""

    site: Site
    new: list[Finding] = field(default_factory=list)
    moved: list[Finding] = field(default_factory=list)
    known: list[Finding] = field(default_factory=list)
    displaced: list[Miner] = field(default_factory=list)

    @property
    def findings(self) -> list[tuple[str, Finding]]:
        groups = (("new", self.new), ("moved", self.moved), ("known", self.known))
        return [(word, finding) for word, group in groups for finding in group]


def plan_discovery(site: Site, found: Sequence[Found]) -> DiscoveryPlan:
    """Compare what was found with the inventory of `site`, without changing anything."""
    return _Planner(site, found).plan


@transaction.atomic
def apply_discovery(plan: DiscoveryPlan, *, by: Any = None) -> None:
    """Store the plan: new miners are marked as discovered, moved ones get their new address. `by` is the user who asked, if one did."""
    Miner.objects.bulk_create([finding.miner for finding in plan.new], ignore_conflicts=True, batch_size=1_000)
    changed = [*plan.displaced, *(finding.miner for finding in (*plan.moved, *plan.known))]
    Miner.objects.bulk_update(changed, ["ip_address", "port", "serial_number", "mac_address", "model"], batch_size=500)
    note_changes([*plan.displaced, *(finding.miner for finding in plan.moved)], by=by, reason=gettext_noop("found by a scan"))


class _Planner:
    def __init__(self, site: Site, found: Sequence[Found]) -> None:
        self.plan = DiscoveryPlan(site)
        self.matcher = ModelMatcher.from_catalogue()
        self.miners = list(Miner.objects.filter(site=site))
        reported = dict(Miner.objects.filter(site=site).values_list("pk", "live__worker_name"))
        self.names = {miner.miner_id for miner in self.miners}
        self.by_serial = _unambiguous((miner.serial_number, miner) for miner in self.miners)
        self.by_mac = _unambiguous((miner.mac_address, miner) for miner in self.miners)
        self.by_worker = _unambiguous((miner.worker_name or reported.get(miner.pk) or "", miner) for miner in self.miners)
        self.by_address = {(miner.ip_address, miner.port): miner for miner in self.miners if miner.ip_address}
        self.workers = Counter(each.worker for each in found)
        self.recognised: set[int] = set()
        self.rest: list[Found] = []
        self._recognise(found)
        self._place_the_rest()

    def _recognise(self, found: Sequence[Found]) -> None:
        """First those who say who they are: an address that they took over is then known to be theirs."""
        for each in found:
            miner = self._by_identity(each)
            if miner is None or miner.pk in self.recognised:
                self.rest.append(each)
            else:
                self._record(each, miner)

    def _by_identity(self, found: Found) -> Miner | None:
        identity = found.identity
        miner = self.by_serial.get(identity.serial_number) or self.by_mac.get(identity.mac_address)
        if miner is None and self.workers[found.worker] == 1:
            miner = self.by_worker.get(found.worker)
            if miner and _identity(miner).contradicts(identity):
                return None
        return miner

    def _place_the_rest(self) -> None:
        for each in self.rest:
            there = self._known_at(each.address)
            if there and there.pk not in self.recognised and not _identity(there).contradicts(each.identity):
                self._record(each, there)
            else:
                self._add(each)
        self._displace()

    def _known_at(self, address: Address) -> Miner | None:
        """Also one that is known at the machine's other port, which its new firmware has closed."""
        other = elsewhere(address)
        there = self.by_address.get((address.host, address.port))
        return there or (self.by_address.get((other.host, other.port)) if other else None)

    def _record(self, found: Found, miner: Miner) -> None:
        """`miner` is the machine that was found."""
        self.recognised.add(miner.pk)
        before = str(Address(miner.ip_address, miner.port)) if miner.ip_address else "no address"
        miner.ip_address, miner.port = found.address.host, found.address.port
        known = _identity(miner).completed(serial_number=found.serial_number, mac_address=found.mac_address)
        miner.serial_number, miner.mac_address = known.serial_number, known.mac_address
        miner.model = miner.model or self.matcher.match(found.model)
        if before == str(found.address):
            self.plan.known.append(Finding(found, miner))
        else:
            self.plan.moved.append(Finding(found, miner, before))

    def _add(self, found: Found) -> None:
        identity = found.identity
        where = found.address.host if elsewhere(found.address) else str(found.address)
        names = (identity.serial_number, identity.mac_address, where, f"{where} found")
        name = next(name[:50] for name in names if name and name[:50] not in self.names)
        self.names.add(name)
        miner = Miner(
            site=self.plan.site,
            miner_id=name,
            ip_address=found.address.host,
            port=found.address.port,
            model=self.matcher.match(found.model),
            serial_number=identity.serial_number,
            mac_address=identity.mac_address,
            discovered=True,
        )
        self.plan.new.append(Finding(found, miner))

    def _displace(self) -> None:
        """A miner that was not recognised, at an address where another machine is, is not there any more."""
        taken = {(finding.miner.ip_address, finding.miner.port) for _, finding in self.plan.findings}
        for miner in self.miners:
            if miner.pk not in self.recognised and (miner.ip_address, miner.port) in taken:
                miner.ip_address = ""
                self.plan.displaced.append(miner)


def _identity(miner: Miner) -> Identity:
    return Identity(miner.serial_number, miner.mac_address)


def _unambiguous(pairs: Iterable[tuple[str, Miner]]) -> dict[str, Miner]:
    """By key, leaving out empty keys and those that several miners share."""
    counted: dict[str, list[Miner]] = {}
    for key, miner in pairs:
        if key:
            counted.setdefault(key, []).append(miner)
    return {key: miners[0] for key, miners in counted.items() if len(miners) == 1}
