"""The CSV file of miners, read again when it was changed: a farm that gets new machines does not stop its collector."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from edge_collector.config import Config, ConfigError
from edge_collector.inventory import Inventory, Machine, given_machines
from edge_collector.logs import EventLog

log = EventLog(__name__)


@dataclass(slots=True)
class Changes:
    """What a new list means, by miner_id. `problems` is why it was not taken."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Stamp = tuple[int, int, int]


class Listing:
    """The machines that the configuration names. `look` brings the inventory up to a file that was changed since."""

    def __init__(self, config: Config, given: Iterable[Machine], inventory: Inventory, *, tell: Callable[[Changes], None]) -> None:
        self._config = config
        self._inventory = inventory
        self._tell = tell
        self._stamp: Stamp | None = None
        """Of the file that was taken; at the start it is not known which one `given` was read from."""
        self._seen: Stamp | None = None
        self._given = {machine.miner_id: machine for machine in given}

    @property
    def given(self) -> Iterable[Machine]:
        return self._given.values()

    def look(self) -> None:
        """Between two rounds. A file with mistakes changes nothing: the machines known so far are read on.

        A file that changed since the last look may still be written: half of it would be half of the farm.
        """
        stamp = self._stamp_now()
        is_settled, self._seen = stamp == self._seen, stamp
        if stamp is None or stamp == self._stamp or not is_settled:
            return
        self._stamp = stamp
        try:
            given = {machine.miner_id: machine for machine in given_machines(self._config)}
            if self._given and not given:
                raise ConfigError([f"{self._config.miners.csv}: it names no miner any more."])
        except ConfigError as error:
            log.error("list_not_taken", problems=error.problems[:5], remedy="correct the file; the former list is used meanwhile")
            self._tell(Changes(problems=error.problems))
            return
        changes = self._bring(given)
        self._given = given
        if changes == Changes():
            return
        log.info("list_taken", added=len(changes.added), changed=len(changes.changed), removed=len(changes.removed))
        self._tell(changes)

    def _bring(self, given: dict[str, Machine]) -> Changes:
        changes = Changes()
        for name, machine in given.items():
            known, former = self._inventory.get(name), self._given.get(name)
            if known is None or former is None:
                changes.added.append(name)
            elif machine != former:
                changes.changed.append(name)
            else:
                continue
            self._inventory.put(_placed(machine, known, former))
        for name in self._given.keys() - given.keys():
            self._inventory.remove(name)
            changes.removed.append(name)
        return changes

    def _stamp_now(self) -> Stamp | None:
        """None without a file, or while it is being replaced."""
        if not self._config.miners.csv:
            return None
        try:
            found = os.stat(self._config.path(self._config.miners.csv))
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _placed(machine: Machine, known: Machine | None, former: Machine | None) -> Machine:
    """Where the file does not give another address than before, the machine stays where it was found last."""
    if known is None:
        return machine
    stays = machine.address is None if former is None else machine.address == former.address
    return replace(machine, address=known.address if stays else machine.address, seen=known.seen)
