"""Which miners a simulated fleet has, and in what state."""

from __future__ import annotations

import csv
import errno
import ipaddress
import itertools
import random
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from cgminer.address import API3_PORTS, DEFAULT_PORT
from cgminer.simulator.catalogue import API3_MODELS, MODELS, Model

COMMON_MIX = (
    ("Antminer S19", 5),
    ("Antminer S19j Pro", 4),
    ("Antminer S21", 4),
    ("Antminer S9", 1),
    ("Antminer S19 Pro (Braiins OS)", 1),
    ("Antminer S19k Pro (LuxOS)", 1),
    ("Antminer S19j Pro (Vnish)", 1),
    ("Whatsminer M30S++", 2),
    ("Whatsminer M50", 1),
    ("Avalon A1246", 1),
)
"""Catalogue names and weights of a farm as one meets it."""


_API3_BESIDE = {DEFAULT_PORT + port - API3_PORTS[0]: port for port in API3_PORTS}


class State(StrEnum):
    HEALTHY = "healthy"
    DEAD = "dead"
    """Accepts connections and never answers."""
    REFUSED = "refused"
    """Powered off: nothing listens."""
    SLOW = "slow"
    """Answers, but only after `MinerSpec.answers_after_s`."""
    OVERHEATED = "overheated"
    BOARD_LOST = "board_lost"
    SLEEPING = "sleeping"
    DENIED = "denied"
    """Closes every connection at once: the caller is not in its API allow list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerSpec:
    """One simulated miner. The same seed gives the same values at the same time."""

    miner_id: str
    host: str
    port: int = DEFAULT_PORT
    model: str = "Antminer S19"
    """A name in `catalogue.MODELS`, or in `API3_MODELS` with a port for it."""
    state: State = State.HEALTHY
    seed: int = 0
    privileged: bool = True
    """Whether control commands are allowed; otherwise they are answered with code 45."""
    answers_after_s: float = 3.0
    admin_password: str = "admin"
    """Of a Whatsminer that wants its control commands encrypted."""

    @property
    def serial_number(self) -> str:
        return f"SIM{self.seed:09d}"

    @property
    def mac_address(self) -> str:
        return "02:51:" + ":".join(f"{byte:02X}" for byte in self.seed.to_bytes(4, "big"))

    @property
    def catalogued(self) -> Model:
        return MODELS.get(self.model) or API3_MODELS[self.model]


def build_fleet(
    count: int,
    *,
    first_address: str = "127.0.10.1",
    port: int = DEFAULT_PORT,
    shares: Mapping[State, float] | None = None,
    models: Sequence[tuple[str, int]] = COMMON_MIX,
    seed: int = 1,
) -> list[MinerSpec]:
    """`count` miners on consecutive loopback addresses, or on consecutive ports of 127.0.0.1 where the system has but that one.

    `shares` gives the part of the fleet in each state that is not healthy (`{State.DEAD: 0.05}`); who is hit depends on `seed`.
    Raises ValueError for a first address that is not one of loopback.
    """
    states = _states(count, shares or {}, random.Random(seed))
    names = itertools.cycle(_spread(models))
    places = _places(first_address, port)
    return [
        _placed(
            MinerSpec(miner_id=f"sim-{number:06d}", host=host, port=its_port, model=name, state=state, seed=seed * 1_000_000 + number),
            beside=port,
        )
        for number, (state, name, (host, its_port)) in enumerate(zip(states, names, places, strict=False), start=1)
    ]


def _placed(spec: MinerSpec, *, beside: int) -> MinerSpec:
    """Whatsminers with API 3 have a port of their own beside the others'; where that is none they are older ones."""
    if spec.model not in API3_MODELS:
        return spec
    port = _API3_BESIDE.get(spec.port) if spec.port == beside else None
    return replace(spec, port=port) if port else replace(spec, model="Whatsminer M50")


def write_inventory(specs: Iterable[MinerSpec], path: Path) -> int:
    """Write the fleet as the CSV file that an inventory import reads. Returns the number of rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("miner_id", "ip_address", "port", "model", "serial_number", "mac_address", "zone", "rack", "slot"))
        rows = 0
        for rows, spec in enumerate(specs, start=1):
            writer.writerow(_inventory_row(spec, rows - 1))
    return rows


def _inventory_row(spec: MinerSpec, index: int) -> tuple[str | int, ...]:
    place = (f"Z{index // 480 + 1}", f"R{index // 24 % 20 + 1:02d}", index % 24 + 1)
    return (spec.miner_id, spec.host, spec.port, spec.catalogued.name, spec.serial_number, spec.mac_address, *place)


def _states(count: int, shares: Mapping[State, float], chance: random.Random) -> list[State]:
    states = [state for state, share in shares.items() for _ in range(round(count * share))][:count]
    states += [State.HEALTHY] * (count - len(states))
    chance.shuffle(states)
    return states


def _spread(models: Sequence[tuple[str, int]]) -> list[str]:
    """Names in proportion to their weights, with the models mixed rather than in blocks."""
    spread = [((turn + 0.5) / weight, name) for name, weight in models for turn in range(weight)]
    return [name for _, name in sorted(spread)]


def _places(first_address: str, port: int) -> Iterator[tuple[str, int]]:
    first = ipaddress.IPv4Address(first_address)
    if not first.is_loopback:
        raise ValueError("simulated miners live on loopback addresses (127.x.y.z) only")
    if _can_bind(first_address):
        return ((str(first + offset), port) for offset in itertools.count())
    return (("127.0.0.1", port + offset) for offset in itertools.count())


def _can_bind(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True
