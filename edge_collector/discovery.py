"""Finds miners in the address ranges, and finds those again that moved: by MAC address, serial number or worker."""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cgminer.address import Address
from cgminer.client import RetryPolicy, Timeouts
from cgminer.poll import RoundPolicy, search
from edge_collector.config import Config, ConfigError
from edge_collector.inventory import Inventory, Machine, Marks
from edge_collector.logs import EventLog

log = EventLog(__name__)

MOST_ADDRESSES: Final = 65_536
CONNECT_S, RECEIVE_S = 1.0, 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """A machine that answered as a miner does."""

    address: Address
    marks: Marks
    model: str = ""


@dataclass(slots=True)
class Findings:
    """What a search changed, by miner_id. `denied` addresses accept a connection and hang up."""

    new: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    displaced: list[str] = field(default_factory=list)
    denied: int = 0


def addresses_in(ranges: Iterable[str], *, port: int) -> list[Address]:
    """Every host of the ranges once. Raises ConfigError for what is no private IPv4 range, or too many."""
    networks = [_network(text) for text in ranges]
    wanted = sum(network.num_addresses for network in networks)
    if wanted > MOST_ADDRESSES:
        raise ConfigError(
            [f"[miners] ranges: {wanted:,} addresses are too many, at most {MOST_ADDRESSES:,} are searched; name smaller ones."]
        )
    hosts = dict.fromkeys(str(host) for network in networks for host in network.hosts())
    return [Address(host, port) for host in hosts]


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigError([f'[miners] ranges: "{text}" is no address range; write one such as 10.1.0.0/22.']) from None
    if not isinstance(network, ipaddress.IPv4Network) or network.is_global or network.is_multicast or network.is_unspecified:
        raise ConfigError(
            [f"[miners] ranges: {text} is no private IPv4 network (10/8, 172.16/12, 192.168/16); miners are searched there only."]
        )
    return network


def scan(addresses: Sequence[Address], *, most_in_flight: int = 500) -> tuple[list[Found], int]:
    """Ask every address; the machines found, and how many others hung up on us."""
    patience = Timeouts(connect_s=CONNECT_S, receive_s=RECEIVE_S)
    policy = RoundPolicy(
        quick_s=CONNECT_S,
        timeouts=patience,
        retry_timeouts=patience,
        retries=RetryPolicy(attempts=1),
        most_in_flight=most_in_flight,
        deadline_s=60 + len(addresses) * (CONNECT_S + RECEIVE_S) / most_in_flight,
    )
    found: list[Found] = []
    denied = 0
    for outcome in search(addresses, policy=policy):
        if outcome.snapshot is not None:
            found.append(Found(outcome.address, Marks.of(outcome.snapshot), outcome.snapshot.model or ""))
        elif outcome.error is not None and outcome.error.error_type == "auth":
            denied += 1
    return found, denied


def apply(inventory: Inventory, found: Sequence[Found], *, names: str, add_new: bool) -> Findings:
    """Bring the inventory up to what was found. First those who say who they are: an address they took over is then known to be theirs."""
    findings = Findings()
    workers = Counter(each.marks.worker_name for each in found)
    placed: set[str] = set()
    rest: list[Found] = []
    for each in found:
        machine = _recognised(inventory, each.marks, is_sole=workers[each.marks.worker_name] == 1)
        if machine is None or machine.miner_id in placed:
            rest.append(each)
        else:
            _place(inventory, machine, each, findings, placed)
    at = {machine.address: machine for machine in inventory.all() if machine.address}
    for each in rest:
        there = at.get(each.address)
        if there and there.miner_id not in placed and inventory.is_at_home(there, each.marks):
            _place(inventory, there, each, findings, placed)
        elif add_new:
            machine = Machine(miner_id=_name(inventory, each, names), is_listed=False)
            inventory.put(machine)
            _place(inventory, machine, each, findings, placed, is_new=True)
    _displace(inventory, findings, placed)
    return findings


def _recognised(inventory: Inventory, marks: Marks, *, is_sole: bool) -> Machine | None:
    machine = inventory.recognised(marks)
    if machine is None and is_sole:
        machine = inventory.with_worker(marks.worker_name)
        if machine and (machine.seen.contradicts(marks) or (machine.given.mac_address and machine.given.contradicts(marks))):
            return None
    return machine


def _place(inventory: Inventory, machine: Machine, found: Found, findings: Findings, placed: set[str], *, is_new: bool = False) -> None:
    placed.add(machine.miner_id)
    group = findings.new if is_new else findings.known if machine.address == found.address else findings.moved
    group.append(machine.miner_id)
    inventory.put(replace(machine, address=found.address, seen=machine.seen.updated(found.marks)))


def _displace(inventory: Inventory, findings: Findings, placed: set[str]) -> None:
    """A machine that was not found, at an address where another one is, is not there any more."""
    taken = {machine.address for machine in inventory.all() if machine.miner_id in placed}
    for machine in inventory.all():
        if machine.miner_id not in placed and machine.address in taken:
            inventory.put(replace(machine, address=None))
            findings.displaced.append(machine.miner_id)


def _name(inventory: Inventory, found: Found, preferred: str) -> str:
    """What the machine says of itself, in the order wanted; else a name that tells nothing of its address and stays the same with it."""
    marks = {"serial": found.marks.serial_number, "mac": found.marks.mac_address, "worker": found.marks.worker_name.rpartition(".")[2]}
    order = [preferred, *(name for name in ("serial", "mac", "worker") if name != preferred)]
    candidates = [marks[name][:50] for name in order if marks[name]]
    digest = hashlib.sha256(str(found.address).encode()).hexdigest()
    candidates += [f"miner-{digest[:8]}", f"miner-{digest[:16]}"]
    return next(name for name in candidates if inventory.get(name) is None)


class Searcher:
    """Searches the ranges at the start, from time to time, and sooner when a miner fell silent."""

    def __init__(
        self,
        config: Config,
        inventory: Inventory,
        *,
        failures: Callable[[str], int],
        tell: Callable[[Findings], None],
        stop: threading.Event,
    ) -> None:
        self._config, self._inventory, self._failures, self._tell, self._stop = config, inventory, failures, tell, stop
        self.addresses = addresses_in(config.miners.ranges, port=config.miners.port)
        self._searched_at: float | None = None
        self._sought: set[str] = set()
        """Silent miners that a search did not find: one that is switched off is not searched for again and again."""

    def run(self) -> None:
        while not self._stop.is_set():
            if self._is_due():
                self.search()
            self._stop.wait(min(1.0, self._config.loop.interval_s))

    def search(self) -> Findings:
        began = time.monotonic()
        found, denied = scan(self.addresses, most_in_flight=self._config.loop.most_in_flight)
        findings = apply(self._inventory, found, names=self._config.miners.names, add_new=True)
        findings.denied = denied
        self._searched_at = time.monotonic()
        self._sought = set(self._missing())
        log.info("searched", addresses=len(self.addresses), found=len(found), new=len(findings.new), moved=len(findings.moved),
                 seconds=round(time.monotonic() - began, 1))  # fmt: skip
        self._tell(findings)
        return findings

    def _is_due(self) -> bool:
        if self._searched_at is None:
            return True
        waited_s = time.monotonic() - self._searched_at
        period_s = self._config.miners.rediscover_minutes * 60
        self._sought &= set(self._missing())
        return waited_s >= period_s or (waited_s >= period_s / 12 and any(name not in self._sought for name in self._missing()))

    def _missing(self) -> Iterator[str]:
        after = self._config.miners.rediscover_after
        for machine in self._inventory.all():
            if machine.address is None or self._failures(machine.miner_id) >= after:
                yield machine.miner_id
