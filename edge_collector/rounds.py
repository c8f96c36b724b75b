"""One poll round: every miner of the inventory asked once, and what came of it as records for the wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cgminer.client import Timeouts
from cgminer.poll import Outcome, RoundPolicy, Target, due_this_round, poll_in_batches
from edge_collector.batch import iso, record_line
from edge_collector.config import Config
from edge_collector.inventory import Inventory, Machine, Marks

DEAD_WITHIN_S: Final = 300.0
"""A miner known to be dead is asked at least this often, so that its last word stays fresh at the server."""
_ENOUGH: Final = 20_000

Keep = Callable[[list[bytes], float, float], None]
"""Takes lines of JSON and the Unix times of the oldest and the newest reading among them."""

Look = Callable[[Machine, Outcome, bool], None]
"""Is shown a miner, what came of asking it, and whether another machine answered in its place."""


@dataclass(slots=True)
class RoundReport:
    """What a round came to. `asked` leaves out those known to be dead whose turn it was not."""

    miners: int = 0
    asked: int = 0
    online: int = 0
    strangers: int = 0
    """Machines that are not the miner whose address they have."""
    seconds: float = 0.0


@dataclass(slots=True)
class _Memory:
    joined: bool | None = None
    failures: int = 0


class Poller:
    """Runs rounds, and remembers between them how each miner wants to be asked and how often it failed."""

    def __init__(self, config: Config, inventory: Inventory, *, look: Look = lambda machine, outcome, is_stranger: None) -> None:
        """`look` is shown every outcome, in the polling thread."""
        self._config = config
        self._inventory = inventory
        self._look = look
        self._memory: dict[str, _Memory] = {}
        self._number = 0

    def round(self, keep: Keep) -> RoundReport:
        """Ask all that are due; records are handed to `keep` as they come, the first after `hand_over_s` at the latest."""
        started = time.monotonic()
        machines = {machine.miner_id: machine for machine in self._inventory.all()}
        targets = [self._target(machine) for machine in machines.values() if self._is_due(machine)]
        report = RoundReport(miners=len(machines), asked=len(targets))
        batches = poll_in_batches(targets, policy=self._policy(), enough=_ENOUGH, within_s=self._config.loop.hand_over_s)
        for outcomes in batches:
            lines = [self._line(machines[str(outcome.target.key)], outcome, report) for outcome in outcomes if not outcome.cut_off]
            if lines:
                times = [outcome.finished_at.timestamp() for outcome in outcomes]
                keep(lines, min(times), max(times))
        self._report_unplaced(machines.values(), keep)
        self._number += 1
        report.seconds = time.monotonic() - started
        return report

    def _report_unplaced(self, machines: Iterable[Machine], keep: Keep) -> None:
        """A miner of which nobody knows where it is would otherwise only grow stale at the server, without a reason."""
        now = datetime.now(UTC)
        why = {"online": False, "error_type": "unknown_address", "error_message": "it is not known where this miner is"}
        names = [machine.miner_id for machine in machines if machine.address is None]
        lines = [record_line({"miner_id": name, "timestamp": iso(now), **why}) for name in names]
        if lines:
            keep(lines, now.timestamp(), now.timestamp())

    def failures_of(self, miner_id: str) -> int:
        """Rounds that this miner failed in a row."""
        memory = self._memory.get(miner_id)
        return memory.failures if memory else 0

    def forget(self, miner_id: str) -> None:
        """The miner is somewhere else now: ask it like a new one."""
        self._memory.pop(miner_id, None)

    def _is_due(self, machine: Machine) -> bool:
        if machine.address is None:
            return False
        rounds_apart = int(min(4, DEAD_WITHIN_S // self._config.loop.interval_s))
        return rounds_apart < 2 or due_this_round(self.failures_of(machine.miner_id), self._number, rounds_apart=rounds_apart)

    def _target(self, machine: Machine) -> Target:
        memory = self._memory.get(machine.miner_id) or _Memory()
        assert machine.address is not None
        return Target(machine.miner_id, machine.address, joined=memory.joined, failures=memory.failures)

    def _policy(self) -> RoundPolicy:
        loop = self._config.loop
        patience = Timeouts(connect_s=min(2.0, loop.patience_s), receive_s=loop.patience_s)
        return RoundPolicy(timeouts=patience, deadline_s=min(loop.deadline_s, loop.interval_s), most_in_flight=loop.most_in_flight)

    def _line(self, machine: Machine, outcome: Outcome, report: RoundReport) -> bytes:
        stranger = outcome.snapshot is not None and not self._inventory.is_at_home(machine, Marks.of(outcome.snapshot))
        failed = outcome.error is not None or stranger
        self._memory[machine.miner_id] = _Memory(outcome.joined, self.failures_of(machine.miner_id) + 1 if failed else 0)
        report.online += not failed
        report.strangers += stranger
        self._look(machine, outcome, stranger)
        return record_line(self._record(machine, outcome, stranger=stranger))

    def _record(self, machine: Machine, outcome: Outcome, *, stranger: bool) -> dict[str, Any]:
        record: dict[str, Any] = {"miner_id": machine.miner_id, "timestamp": iso(outcome.finished_at)}
        if self._config.miners.send_addresses:
            record["ip_address"] = outcome.target.address.host
        if outcome.snapshot is not None and not stranger:
            return {**record, "online": True, **outcome.snapshot.as_record()}
        if stranger:
            return {**record, "online": False, "error_type": "moved", "error_message": "another machine answers where this miner was"}
        error_type = outcome.error.error_type if outcome.error else "error"
        message = str(outcome.error) if self._config.miners.send_addresses else without_address(str(outcome.error), machine)
        return {**record, "online": False, "error_type": error_type, "error_message": message[:500]}


def without_address(text: str, machine: Machine) -> str:
    """A message for the server, of which the miner's address is no part."""
    if machine.address is None:
        return text
    return text.replace(f"{machine.address}: ", "").replace(str(machine.address), "the miner").replace(machine.address.host, "the miner")
