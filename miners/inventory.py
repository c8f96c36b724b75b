"""Load an inventory from CSV or XLSX: what the file means is decided first, without touching the database, and then stored.

    plan = plan_import(site, read_table(raw))
    apply_import(plan, by=user, reason="import of farm.csv")

A row that cannot be understood is reported with its number, column and reason, and costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tablib
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from miners.doubles import doubles
from miners.inventory_file import Row, RowError, Table
from miners.models import Miner
from miners.resources import MinerResource
from sites.models import Site


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a row changes in a miner that is there: column → its value before and after, as people read them."""

    row: int
    miner_id: str
    fields: Mapping[str, tuple[str, str]]


@dataclass(slots=True)
class ImportPlan:
    """What a file would change in a site's inventory. Cells left empty change nothing."""

    site: Site
    rows: int = 0
    create: list[Miner] = field(default_factory=list)
    update: list[Miner] = field(default_factory=list)
    changes: list[RowChange] = field(default_factory=list)
    """Of `update`, in the same order."""
    stored_rows: list[Row] = field(default_factory=list)
    """Of the file, those that add or change a miner."""
    unchanged: int = 0
    columns: Sequence[str] = ()
    ignored_columns: Sequence[str] = ()
    errors: list[RowError] = field(default_factory=list)
    notes: list[RowError] = field(default_factory=list)
    """Of rows that are good all the same: cells that were left out, and serial numbers that are another miner's too."""

    @property
    def refused_rows(self) -> int:
        return len({error.row for error in self.errors})


def plan_import(site: Site, table: Table, *, visible: QuerySet[Site] | None = None) -> ImportPlan:
    """Compare `table` with the inventory of `site` (which may be new and not saved yet).

    Miners of other sites are named where they have a machine of the file already, unless `visible` leaves their site out.
    """
    plan = ImportPlan(site, rows=table.count, columns=table.columns, ignored_columns=table.ignored_columns, errors=list(table.errors))
    resource = _FileResource(site, table.rows)
    result = resource.import_data(_dataset(table.rows, table.columns), dry_run=True)
    good = list(_good_rows(result.rows, table.rows, plan))
    taken = _taken_addresses(site, good)
    second = {error.row: error for error in doubles(site, good, "mac_address", visible)}
    for row, found in good:
        if row.number in second:
            plan.errors.append(second[row.number])
        elif reason := _address_refused(found.instance, taken):
            plan.errors.append(RowError(row.number, "ip_address", reason))
        else:
            _decide(plan, resource, row, found)
    plan.notes = [RowError(resource.row_of(number), column, reason) for number, column, reason in resource.notes]
    plan.notes += doubles(site, good, "serial_number", visible)
    plan.notes.sort(key=lambda note: note.row)
    plan.errors.sort(key=lambda error: error.row)
    return plan


def apply_import(plan: ImportPlan, *, by: Any = None, reason: str = "", progress: Callable[[int], None] | None = None) -> None:
    """Store the plan in steps of STEP miners, each whole with its history; `progress` is told after each how many are stored.

    Rows are matched anew, so a miner that appeared meanwhile is updated, not doubled. Cut short, it is done again: what was stored is
    then unchanged.
    """
    if plan.site._state.adding:
        plan.site.save()
    resource = MinerResource(plan.site, by=by, reason=reason, progress=progress)
    resource.import_data(_dataset(plan.stored_rows, plan.columns), raise_errors=True)


class _FileResource(MinerResource):
    """Counts rows as the file does, where blank lines and lines that cannot be read are left out."""

    def __init__(self, site: Site, rows: Sequence[Row]) -> None:
        super().__init__(site)
        self._rows = rows

    def row_of(self, number: int) -> int:
        return self._rows[number - 1].number


def _dataset(rows: Sequence[Row], columns: Sequence[str]) -> tablib.Dataset:
    return tablib.Dataset(*([row.cells.get(name, "") for name in columns] for row in rows), headers=columns)


def _good_rows(found: Sequence[Any], rows: Sequence[Row], plan: ImportPlan) -> Iterator[tuple[Row, Any]]:
    """What is wrong with the others is noted in the plan, by column."""
    for row, each in zip(rows, found, strict=True):
        for error in each.errors:
            raise error.error  # a mistake of ours: what a file may hold is a validation error
        if each.validation_error is None:
            yield row, each
            continue
        for column, reasons in each.validation_error.message_dict.items():
            plan.errors += [RowError(row.number, column, reason) for reason in reasons]


def _taken_addresses(site: Site, good: Sequence[tuple[Row, Any]]) -> dict[tuple[str, int], str]:
    """Address and port → the miner that has it, of the miners that the file does not name."""
    if site._state.adding:
        return {}
    in_file = {row.miner_id for row, _found in good}
    present = Miner.objects.filter(site=site).values_list("miner_id", "ip_address", "port")
    return {(host, port): miner_id for miner_id, host, port in present if miner_id not in in_file}


def _address_refused(miner: Miner, taken: dict[tuple[str, int], str]) -> str:
    """Two miners at one address would both show the readings of the machine that is there. Empty where it is free: then it is taken."""
    place = (miner.ip_address, miner.port)
    if not place[0]:
        return ""
    holder = taken.setdefault(place, miner.miner_id)
    if holder == miner.miner_id:
        return ""
    return _("%(address)s port %(port)d belongs to miner %(miner)s") % {"address": place[0], "port": place[1], "miner": holder}


def _decide(plan: ImportPlan, resource: MinerResource, row: Row, found: Any) -> None:
    if found.is_skip():
        plan.unchanged += 1
        return
    plan.stored_rows.append(row)
    if found.is_new():
        plan.create.append(found.instance)
    else:
        plan.update.append(found.instance)
        plan.changes.append(RowChange(row.number, row.miner_id, resource.changes(found.original, found.instance)))
