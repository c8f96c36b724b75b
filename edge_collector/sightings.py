"""What each reading tells of who is where: marks are learned, and a miner that is met at another's address is followed there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cgminer.poll import Outcome
from edge_collector.inventory import Inventory, Machine, Marks
from edge_collector.logs import EventLog

log = EventLog(__name__)


def learn(inventory: Inventory, machine: Machine, outcome: Outcome, *, is_stranger: bool, failures: Callable[[str], int]) -> str | None:
    """Take in one outcome; the miner_id of a machine that moved, if this is how one was found again."""
    if outcome.snapshot is None:
        return None
    marks = Marks.of(outcome.snapshot)
    if not is_stranger:
        now = inventory.get(machine.miner_id) or machine  # a search may have moved it since the round began
        seen = now.seen.updated(marks)
        if (seen != now.seen or outcome.found_at) and now.address == machine.address:
            inventory.put(replace(now, seen=seen, address=outcome.address))
        return None
    other = inventory.recognised(marks)
    if other is None or other.address == outcome.target.address or (other.address is not None and failures(other.miner_id) == 0):
        return None
    inventory.put(replace(other, address=outcome.target.address))
    # Most likely the two changed places; if not, this one is silent there and searched for.
    inventory.put(replace(inventory.get(machine.miner_id) or machine, address=other.address))
    log.info("miner_moved", miner_id=other.miner_id, found_at_address_of=machine.miner_id)
    return other.miner_id
