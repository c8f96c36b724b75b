"""What fails together: which rack, zone, subnet, pool or site explains a set of failing miners best. Nothing here touches the database."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

WELL = 0.25
"""What each miner that is well costs a group that contains it: a rack of 10 that failed and one miner beyond it stay two alerts; three
more of the next rack make it the zone's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where miners stand and hang. Empty: not known, and then part of no such group. All of a rack's miners share one."""

    site: int
    zone: str = ""
    rack: str = ""
    subnet: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """What can fail as a whole. `key` names it in its site, as an alert's `scope_key` does."""

    site: int
    scope: str
    key: str = ""


@dataclass(slots=True)
class Group:
    container: Container
    miners: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """When miners of a container are one matter: so many of them, and this share."""

    from_miners: int
    percent: float

    def is_reached(self, failing: int, total: int) -> bool:
        return failing >= max(2, self.from_miners) and failing * 100 >= self.percent * total

    def half(self) -> Bar:
        """What a group that was formed must still reach so that further miners belong to it."""
        return Bar(from_miners=max(2, self.from_miners // 2), percent=self.percent / 2)


@lru_cache(maxsize=65_536)
def containers_of(place: Place, kinds: tuple[str, ...]) -> tuple[Container, ...]:
    """The containers of these kinds that the place lies in. A farm has few places beside its miners."""
    keys = {
        "rack": f"{place.zone}/{place.rack}" if place.zone and place.rack else place.rack,
        "zone": place.zone,
        "subnet": place.subnet,
        "pool": place.pool,
    }
    found = [(kind, "" if kind == "site" else keys[kind]) for kind in kinds if kind == "site" or keys[kind]]
    return tuple(Container(place.site, kind, key) for kind, key in found)


def subnet_of(address: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 one; "" for host names."""
    network, _, last = address.rpartition(".")
    if last.isdecimal() and network.count(".") == 2:  # a hundred thousand at once: parsing each takes seconds
        return f"{network}.0/24"
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))


@lru_cache(maxsize=4_096)
def host_of(url: str | None) -> str:
    """The host of a pool's address, in lower case; "" when there is none."""
    if not url:
        return ""
    return (urlsplit(url if "://" in url else f"stratum+tcp://{url}").hostname or "").lower()


def totals_of(places: Iterable[Place], kinds: tuple[str, ...]) -> Counter[Container]:
    """How many miners each container has."""
    alike = Counter(places)
    totals: Counter[Container] = Counter()
    for place, count in alike.items():
        for container in containers_of(place, kinds):
            totals[container] += count
    return totals


def group(
    failing: Collection[int], places: Mapping[int, Place], totals: Mapping[Container, int], kinds: tuple[str, ...], bar: Bar
) -> list[Group]:
    """The containers that explain most of `failing` at the least cost, each miner in one of them at most; the others stand alone.

    Of two that explain the same, the one named first in `kinds` is taken.
    """
    inside: dict[Container, set[int]] = defaultdict(set)
    for miner in failing:
        for container in containers_of(places[miner], kinds):
            inside[container].add(miner)
    candidates = {container: miners for container, miners in inside.items() if bar.is_reached(len(miners), totals[container])}
    groups: list[Group] = []
    while candidates:
        best = max(candidates, key=lambda container: (_gain(candidates[container], totals[container]), -kinds.index(container.scope)))
        taken = candidates.pop(best)
        groups.append(Group(best, taken))
        left = {container: miners - taken for container, miners in candidates.items() if miners - taken}
        candidates = {container: miners for container, miners in left.items() if bar.is_reached(len(miners), totals[container])}
    return groups


def _gain(miners: Collection[int], total: int) -> float:
    """Alerts saved, less what calling a whole container failed costs for those in it that are well."""
    return len(miners) - 1 - WELL * (total - len(miners))
