"""Which simulated miners the demo has. Pure, so that simulator, collector and database agree without talking to each other."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cgminer.simulator import MinerSpec, State, build_fleet

NORTH_SHARE = 0.6
NORTH_FIRST, FJORD_FIRST = "127.0.10.1", "127.1.0.1"
PORTS = (4028, 14_028, 24_028, 34_028, 44_028)
"""The miners' own port first; the next ones for when another demo runs on this machine."""
RACKS_A_HALL, SLOTS_A_RACK = 3, 20

NORTH_SHARES = {
    State.DEAD: 0.017,
    State.REFUSED: 0.017,
    State.SLOW: 0.009,
    State.OVERHEATED: 0.017,
    State.BOARD_LOST: 0.025,
    State.SLEEPING: 0.009,
    State.DENIED: 0.009,
}
FJORD_SHARES = {State.REFUSED: 0.013, State.OVERHEATED: 0.013, State.BOARD_LOST: 0.025}
FJORD_MODELS = (("Whatsminer M50", 4), ("Whatsminer M60", 1), ("Whatsminer M30S++", 3), ("Antminer S21", 3), ("Avalon A1246", 2))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the miner stands."""

    zone: str
    rack: str
    slot: str


@dataclass(frozen=True, slots=True)
class Fleets:
    """The miners of both sites, and where they stand, in the same order."""

    north: list[MinerSpec]
    fjord: list[MinerSpec]

    @property
    def specs(self) -> list[MinerSpec]:
        return [*self.north, *self.fjord]


def build_fleets(count: int, *, port: int) -> Fleets:
    """`count` miners on both sites together."""
    north = build_fleet(round(count * NORTH_SHARE), first_address=NORTH_FIRST, port=port, shares=NORTH_SHARES, seed=21)
    # Where 127.0.0.1 is the only loopback address, miners differ by port, and the second fleet goes on where the first ends.
    beside = port + len(north) if {spec.host for spec in north} == {"127.0.0.1"} else port
    fjord = build_fleet(count - len(north), first_address=FJORD_FIRST, port=beside, shares=FJORD_SHARES, models=FJORD_MODELS, seed=34)
    return Fleets(north=_named(north, "hall"), fjord=_named(fjord, "container"))


def places(specs: Iterable[MinerSpec], *, zone: str) -> Iterator[Place]:
    for index, _ in enumerate(specs):
        rack, slot = divmod(index, SLOTS_A_RACK)
        hall, letter = divmod(rack, RACKS_A_HALL)
        yield Place(zone=f"{zone.title()} {hall + 1}", rack=f"{hall + 1}{'ABC'[letter]}", slot=f"{slot + 1:02d}")


def _named(specs: list[MinerSpec], zone: str) -> list[MinerSpec]:
    """Named after their place, as farms do: H1A-07 is hall 1, rack A, slot 7."""
    initial = zone[0].upper()
    return [
        replace(spec, miner_id=f"{initial}{place.rack}-{place.slot}") for spec, place in zip(specs, places(specs, zone=zone), strict=True)
    ]


def free_port(count: int, *, ports: Sequence[int] = PORTS) -> int | None:
    """The first of `ports` on which every miner of such a fleet can listen; None when none is left."""
    return next((port for port in ports if all(_is_free(spec) for spec in build_fleets(count, port=port).specs)), None)


def _is_free(spec: MinerSpec) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((spec.host, spec.port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
