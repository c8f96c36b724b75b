"""Which miners there are and where: from the `[[miner]]` tables, a CSV file, and what was found in the ranges.

Where a miner was found last is remembered on disk, with what it can be recognised by, so that a restart does not search again.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cgminer.address import Address
from cgminer.errors import MinerNameError
from cgminer.plausible import mac_address
from cgminer.snapshot import Snapshot
from edge_collector.config import Config, ConfigError

_ALIASES: Final = {"ip": "ip_address", "address": "ip_address", "mac": "mac_address", "serial": "serial_number", "worker": "worker_name"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What a machine is recognised by. Empty strings are unknown."""

    serial_number: str = ""
    mac_address: str = ""
    worker_name: str = ""

    @classmethod
    def of(cls, snapshot: Snapshot) -> Marks:
        """What the machine says of itself."""
        pool = snapshot.pool_in_use
        worker = (pool.user or "") if pool else ""
        return cls((snapshot.serial_number or "")[:64], snapshot.mac_address or "", worker[:100])

    def updated(self, other: Marks) -> Marks:
        """With what `other` knows; what it does not know stays."""
        return Marks(
            other.serial_number or self.serial_number, other.mac_address or self.mac_address, other.worker_name or self.worker_name
        )

    def contradicts(self, other: Marks) -> bool:
        """Whether these are two machines. The MAC address decides where both have one."""
        if self.mac_address and other.mac_address:
            return self.mac_address != other.mac_address
        return bool(self.serial_number and other.serial_number and self.serial_number != other.serial_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One miner. `address` is None when it is not known where it is."""

    miner_id: str
    address: Address | None = None
    given: Marks = Marks()
    """What a person wrote down; the printed serial number need not be the one that the machine tells."""
    seen: Marks = Marks()
    """What the machine said of itself."""
    is_listed: bool = True
    """Named by the configuration or the CSV file, rather than found in a range."""
    password: str = field(default="", repr=False)


class Inventory:
    """The machines by miner_id. Safe in threads: a machine is never changed, but replaced."""

    def __init__(self, machines: Iterable[Machine] = ()) -> None:
        self._lock = threading.Lock()
        self._machines: dict[str, Machine] = {}
        self._by_mark: dict[tuple[str, str], set[str]] = {}
        self.version = 0
        """Grows with each change."""
        for machine in machines:
            self.put(machine)

    def all(self) -> list[Machine]:
        with self._lock:
            return list(self._machines.values())

    def get(self, miner_id: str) -> Machine | None:
        with self._lock:
            return self._machines.get(miner_id)

    def put(self, machine: Machine) -> None:
        with self._lock:
            former = self._machines.get(machine.miner_id)
            if former == machine:
                return
            for mark in _keys(former) if former else ():
                self._by_mark[mark].discard(machine.miner_id)
            for mark in _keys(machine):
                self._by_mark.setdefault(mark, set()).add(machine.miner_id)
            self._machines[machine.miner_id] = machine
            self.version += 1

    def remove(self, miner_id: str) -> None:
        with self._lock:
            machine = self._machines.pop(miner_id, None)
            for mark in _keys(machine) if machine else ():
                self._by_mark[mark].discard(miner_id)
            self.version += 1

    def recognised(self, marks: Marks) -> Machine | None:
        """The one machine that has this MAC address or, failing that, this serial number; None when none or several have."""
        with self._lock:
            for mark in (("mac", marks.mac_address), ("serial", marks.serial_number)):
                names = self._by_mark.get(mark, set()) if mark[1] else set()
                if len(names) == 1:
                    return self._machines[next(iter(names))]
        return None

    def with_worker(self, worker: str) -> Machine | None:
        """The one machine that mines, or should mine, as this worker."""
        with self._lock:
            names = self._by_mark.get(("worker", worker), set()) if worker else set()
            return self._machines[next(iter(names))] if len(names) == 1 else None

    def is_at_home(self, machine: Machine, said: Marks) -> bool:
        """Whether the machine that says this, at the address of `machine`, may be it.

        Not when it is known to be another one of the inventory, nor when a machine found in a range was someone else before. A listed
        machine's address counts more than what it said earlier: it may have been replaced.
        """
        other = self.recognised(said)
        if other is not None and other.miner_id != machine.miner_id:
            return machine.given.mac_address == said.mac_address != ""
        return machine.is_listed or not machine.seen.contradicts(said)

    def __len__(self) -> int:
        return len(self._machines)


def _keys(machine: Machine) -> set[tuple[str, str]]:
    both = (machine.given, machine.seen)
    keys = {("mac", marks.mac_address) for marks in both} | {("serial", marks.serial_number) for marks in both}
    return {key for key in keys | {("worker", marks.worker_name) for marks in both} if key[1]}


def given_machines(config: Config) -> list[Machine]:
    """Those of the configuration and of its CSV file. Raises ConfigError with every row that cannot be used."""
    rows = [(f"[[miner]] number {number}", table) for number, table in enumerate(config.miner_list, start=1)]
    if config.miners.csv:
        path = config.path(config.miners.csv)
        rows += [(f"{path}, row {number}", row) for number, row in _csv_rows(path)]
    problems: list[str] = []
    machines: dict[str, Machine] = {}
    for where, row in rows:
        try:
            machine = _machine(row, default_port=config.miners.port)
        except (ValueError, MinerNameError) as error:
            problems.append(f"{where}: {error}.")
            continue
        if machine.miner_id in machines:
            problems.append(f"{where}: miner_id {machine.miner_id} was given before; each miner needs a name of its own.")
        machines[machine.miner_id] = machine
    if problems:
        raise ConfigError(problems)
    return list(machines.values())


def _machine(row: Mapping[str, Any], *, default_port: int) -> Machine:
    cells = {name: str(value).strip() for name, value in row.items() if value is not None}
    miner_id = cells.get("miner_id", "")
    if not 1 <= len(miner_id) <= 50 or not miner_id.isprintable():
        raise ValueError(f"miner_id {miner_id[:60]!r} must be 1 to 50 printable characters")
    where, port = cells.get("ip_address", ""), cells.get("port", "")
    mac = cells.get("mac_address", "")
    if mac and mac_address(mac) is None:
        raise ValueError(f"mac_address {mac!r} is none; write it as AA:BB:CC:DD:EE:FF or leave it empty")
    text = f"[{where}]:{port}" if port and where.count(":") > 1 and not where.startswith("[") else f"{where}:{port}" if port else where
    return Machine(
        miner_id=miner_id,
        address=Address.parse(text, default_port=default_port) if where else None,
        given=Marks(cells.get("serial_number", ""), mac_address(mac) or "", cells.get("worker_name", "")),
        password=cells.get("password", ""),
    )


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Numbered as a spreadsheet does: the header is row 1. Comma or semicolon, with or without a byte order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file ([miners] csv)."]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read ({error}); save it as CSV in UTF-8."]) from error
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        lines = iter(list(reader))
    except csv.Error as error:
        raise ConfigError([f"{path}, line {reader.line_num}: cannot be read ({error}); is a quote not closed?"]) from error
    header = [_ALIASES.get(name, name) for name in (cell.strip().lower().replace(" ", "_") for cell in next(lines, []))]
    if "miner_id" not in header:
        raise ConfigError([f"{path}: the first row must name the columns, miner_id among them; it has {', '.join(header) or 'nothing'}."])
    return [(number, dict(zip(header, cells, strict=False))) for number, cells in enumerate(lines, start=2) if any(cells)]
