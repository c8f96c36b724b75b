"""Load an inventory from CSV: what the file means is decided first, without touching the database, and then stored in one transaction.

    plan = plan_import(site, read_table(raw))
    apply_import(plan)

A row that cannot be understood is reported with its number, column and reason, and costs only itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from cgminer.address import Address
from cgminer.errors import MinerNameError
from miners.identity import mac_address
from miners.inventory_file import Row, RowError, Table
from miners.matching import ModelMatcher
from miners.models import Miner
from sites.models import Site

TEXT_LIMITS = {"serial_number": 64, "worker_name": 100, "zone": 50, "rack": 50, "slot": 50}
_STORED = ("ip_address", "port", "model_id", "serial_number", "mac_address", "worker_name", "zone", "rack", "slot")


@dataclass(slots=True)
class ImportPlan:
    """What a file would change in a site's inventory. Cells left empty change nothing."""

    site: Site
    rows: int = 0
    create: list[Miner] = field(default_factory=list)
    update: list[Miner] = field(default_factory=list)
    unchanged: int = 0
    columns: Sequence[str] = ()
    ignored_columns: Sequence[str] = ()
    errors: list[RowError] = field(default_factory=list)
    notes: list[RowError] = field(default_factory=list)
    """Cells that were left out of rows that are good without them."""

    @property
    def refused_rows(self) -> int:
        return len({error.row for error in self.errors})


def plan_import(site: Site, table: Table) -> ImportPlan:
    """Compare `table` with the inventory of `site` (which may be new and not saved yet)."""
    return _Planner(site, table).plan


@transaction.atomic
def apply_import(plan: ImportPlan) -> None:
    """Store the plan. Rows are matched by (site, miner_id), so a miner that appeared meanwhile is updated, not doubled."""
    if plan.site._state.adding:
        plan.site.save()
    Miner.objects.bulk_create(
        [*plan.create, *plan.update],
        update_conflicts=True,
        unique_fields=["site", "miner_id"],
        update_fields=["discovered", *plan.columns],
        batch_size=2_000,
    )


class _Planner:
    def __init__(self, site: Site, table: Table) -> None:
        columns = [name for name in table.columns if name != "miner_id"]
        self.plan = ImportPlan(site, columns=columns, ignored_columns=table.ignored_columns, errors=list(table.errors))
        self.site = site
        self.existing = {miner.miner_id: miner for miner in Miner.objects.filter(site=site)} if not site._state.adding else {}
        self.matcher = ModelMatcher.from_catalogue()
        self.first_row: dict[str, int] = {}
        self.refused: set[int] = set()
        values = [(row, self._values(row)) for row in table.rows]
        self.plan.rows = len(values)
        self._check_addresses(values)
        for row, fields in values:
            if row.number not in self.refused:
                self._decide(row, fields)
        self.plan.errors.sort(key=lambda error: error.row)

    def _refuse(self, row: Row, column: str, reason: str) -> None:
        self.refused.add(row.number)
        self.plan.errors.append(RowError(row.number, column, reason))

    def _values(self, row: Row) -> dict[str, Any]:
        """The row's cells as columns of Miner; what is wrong with them is noted on the way."""
        self._check_id(row)
        fields: dict[str, Any] = {}
        for column, limit in TEXT_LIMITS.items():
            if text := row.cells.get(column):
                fields[column] = text
                if len(text) > limit or not text.isprintable():
                    self._refuse(row, column, f"at most {limit} printable characters")
        self._read_address(row, fields)
        self._read_mac(row, fields)
        self._read_model(row, fields)
        return fields

    def _check_id(self, row: Row) -> None:
        miner_id = row.miner_id
        if not miner_id:
            self._refuse(row, "miner_id", "is empty")
        elif len(miner_id) > 50 or not miner_id.isprintable():
            self._refuse(row, "miner_id", "at most 50 printable characters")
        elif miner_id in self.first_row:
            self._refuse(row, "miner_id", f"{miner_id} is in row {self.first_row[miner_id]} already")
        else:
            self.first_row[miner_id] = row.number

    def _read_address(self, row: Row, fields: dict[str, Any]) -> None:
        if port := row.cells.get("port"):
            if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536:
                fields["port"] = int(port)
            else:
                self._refuse(row, "port", f'"{port}" is not a number from 1 to 65535')
        if not (text := row.cells.get("ip_address")):
            return
        try:
            address = Address.parse(text, default_port=0)
        except MinerNameError as error:
            self._refuse(row, "ip_address", str(error))
            return
        fields["ip_address"] = address.host
        if address.port:
            if fields.get("port", address.port) != address.port:
                self._refuse(row, "port", f"{fields['port']}, but the address says {address.port}")
            fields["port"] = address.port

    def _read_mac(self, row: Row, fields: dict[str, Any]) -> None:
        if text := row.cells.get("mac_address"):
            known = mac_address(text)
            if known is None:
                self._refuse(row, "mac_address", f'"{text}" is not a MAC address such as 02:00:5E:10:00:1F')
            fields["mac_address"] = known

    def _read_model(self, row: Row, fields: dict[str, Any]) -> None:
        if not (text := row.cells.get("model")):
            return
        model = self.matcher.match(text)
        if model is None:
            near = difflib.get_close_matches(text, self.matcher.names(), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.plan.notes.append(
                RowError(row.number, "model", f'"{text}" is not in the catalogue of models; what the miner reports counts{hint}')
            )
        else:
            fields["model_id"] = model.pk

    def _check_addresses(self, values: list[tuple[Row, dict[str, Any]]]) -> None:
        """Two miners at one address would both show the readings of the machine that is there."""
        good = [(row, self._final(row, fields)) for row, fields in values if row.number not in self.refused]
        in_file = {row.miner_id for row, _ in good}
        holder = {(miner.ip_address, miner.port): name for name, miner in self.existing.items() if name not in in_file}
        for row, final in good:
            place = (final["ip_address"], final["port"])
            if not place[0]:
                continue
            if place in holder:
                self._refuse(row, "ip_address", f"{place[0]} port {place[1]} belongs to miner {holder[place]}")
            else:
                holder[place] = row.miner_id

    def _final(self, row: Row, fields: dict[str, Any]) -> dict[str, Any]:
        """All stored columns as they will be: the file's, else what is there, else the default."""
        miner = self.existing.get(row.miner_id) or _BLANK
        return {name: fields[name] if name in fields else getattr(miner, name) for name in _STORED}

    def _decide(self, row: Row, fields: dict[str, Any]) -> None:
        present = self.existing.get(row.miner_id)
        final = self._final(row, fields)
        if present is None:
            self.plan.create.append(Miner(site=self.site, miner_id=row.miner_id, **final))
        elif present.discovered or any(getattr(present, name) != value for name, value in fields.items()):
            self.plan.update.append(Miner(site=self.site, miner_id=row.miner_id, **final))
        else:
            self.plan.unchanged += 1


_BLANK = Miner()
