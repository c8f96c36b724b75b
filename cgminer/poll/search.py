"""Ask addresses of which nothing is known, in both protocols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cgminer.address import Address
from cgminer.errors import PortClosed
from cgminer.poll.policy import Outcome, RoundPolicy, Target
from cgminer.poll.rounds import poll_round
from cgminer.protocols import elsewhere


def search(addresses: Iterable[Address], *, policy: RoundPolicy) -> Iterator[Outcome]:
    """One outcome an address. Where a machine is there but its port is closed, its other port is asked, and the outcome is that one's."""
    closed: list[Outcome] = []
    for outcome in poll_round(_targets(addresses), policy=policy):
        if isinstance(outcome.error, PortClosed) and elsewhere(outcome.target.address):
            closed.append(outcome)
        else:
            yield outcome
    others = {place.host: place for outcome in closed if (place := elsewhere(outcome.target.address))}
    before = {outcome.target.address.host: outcome for outcome in closed}
    for outcome in poll_round(_targets(others.values()), policy=policy):
        # That the other port is closed as well says no more than the first one did.
        yield before[outcome.target.address.host] if isinstance(outcome.error, PortClosed) else outcome


def _targets(addresses: Iterable[Address]) -> list[Target]:
    return [Target(key=str(address), address=address) for address in addresses]
