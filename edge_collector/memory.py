"""What is remembered of the machines between two starts: where each was last, and what it is recognised by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from cgminer.address import Address
from edge_collector.inventory import Inventory, Machine, Marks
from edge_collector.journal import Journal
from edge_collector.store import transaction


class Memory:
    """In the journal's file. `save` writes what changed since the last time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._saved: dict[str, str] = {}
        self._given: dict[str, str | None] = {}
        self._version = -1

    def recall(self, given: Iterable[Machine], *, with_found: bool) -> Inventory:
        """The given machines where they were seen last, unless somebody wrote down another address since; with those found in ranges."""
        listed = {machine.miner_id: machine for machine in given}
        self.note_given(listed.values())
        with self._journal.lock:
            rows = self._journal.db.execute("SELECT miner_id, known FROM machines").fetchall()
        for miner_id, known in rows:
            remembered: dict[str, Any] = json.loads(known)
            machine = listed.get(miner_id)
            if machine is not None:
                moved = remembered["given"] == self._given[miner_id]
                address = _address(remembered["address"]) if moved else machine.address
                listed[miner_id] = Machine(
                    miner_id=miner_id, address=address, given=machine.given, seen=Marks(**remembered["seen"]), password=machine.password
                )
            elif with_found and not remembered["is_listed"]:
                listed[miner_id] = Machine(
                    miner_id=miner_id, address=_address(remembered["address"]), seen=Marks(**remembered["seen"]), is_listed=False
                )
            self._saved[miner_id] = known
        return Inventory(listed.values())

    def note_given(self, machines: Iterable[Machine]) -> None:
        """The addresses that a person wrote down."""
        self._given = {machine.miner_id: _text(machine.address) for machine in machines}

    def save(self, inventory: Inventory) -> int:
        """Returns how many machines were written."""
        if inventory.version == self._version:
            return 0
        self._version = inventory.version
        rows = {machine.miner_id: self._row(machine) for machine in inventory.all()}
        changed = [(name, row) for name, row in rows.items() if self._saved.get(name) != row]
        if changed:
            sql = "INSERT INTO machines VALUES (?, ?) ON CONFLICT (miner_id) DO UPDATE SET known = excluded.known"
            with self._journal.lock, transaction(self._journal.db):
                self._journal.db.executemany(sql, changed)
            self._saved |= dict(changed)
        return len(changed)

    def _row(self, machine: Machine) -> str:
        known = {
            "address": _text(machine.address),
            "given": self._given.get(machine.miner_id),
            "seen": asdict(machine.seen),
            "is_listed": machine.is_listed,
        }
        return json.dumps(known)


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _address(text: str | None) -> Address | None:
    return None if text is None else Address.parse(text)
