"""Load an inventory from CSV or XLSX: what the file means is decided first, without touching the database, and then stored.

    plan = plan_import(site, read_table(raw))
    apply_import(plan, by=user, reason="import of farm.csv")

A row that cannot be understood is reported with its number, column and reason, and costs only itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cgminer.address import Address
from cgminer.errors import MinerNameError
from miners.identity import mac_address
from miners.inventory_file import Row, RowError, Table
from miners.matching import ModelMatcher
from miners.models import Miner, MinerModel
from sites.changes import note_additions, note_changes
from sites.models import Site

TEXT_LIMITS = {"serial_number": 64, "worker_name": 100, "zone": 50, "rack": 50, "slot": 50}
STEP = 1_000
_STORED = ("ip_address", "port", "model_id", "serial_number", "mac_address", "worker_name", "zone", "rack", "slot")


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a row changes in a miner that is there: column → its value before and after, as people read them."""

    row: int
    miner_id: str
    fields: dict[str, tuple[str, str]]


@dataclass(slots=True)
class ImportPlan:
    """What a file would change in a site's inventory. Cells left empty change nothing."""

    site: Site
    rows: int = 0
    create: list[Miner] = field(default_factory=list)
    update: list[Miner] = field(default_factory=list)
    changes: list[RowChange] = field(default_factory=list)
    """Of `update`, in the same order."""
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


def apply_import(plan: ImportPlan, *, by: Any = None, reason: str = "", progress: Callable[[int], None] | None = None) -> None:
    """Store the plan in steps of STEP miners, each whole with its history; `progress` is told after each how many are stored.

    Rows are matched by (site, miner_id), so a miner that appeared meanwhile is updated, not doubled. Cut short, it is done again:
    what was stored is then unchanged.
    """
    if plan.site._state.adding:
        plan.site.save()
    done = 0
    for rows, note in ((plan.create, note_additions), (plan.update, note_changes)):
        for start in range(0, len(rows), STEP):
            step = rows[start : start + STEP]
            with transaction.atomic():
                _store(step, plan.columns)
                note(step, by=by, reason=reason)
            done += len(step)
            if progress:
                progress(done)


def _store(miners: list[Miner], columns: Sequence[str]) -> None:
    Miner.objects.bulk_create(
        miners, update_conflicts=True, unique_fields=["site", "miner_id"], update_fields=["discovered", *columns], batch_size=STEP
    )


class _Planner:
    def __init__(self, site: Site, table: Table) -> None:
        columns = [name for name in table.columns if name != "miner_id"]
        self.plan = ImportPlan(site, columns=columns, ignored_columns=table.ignored_columns, errors=list(table.errors))
        self.site = site
        self.existing = {miner.miner_id: miner for miner in Miner.objects.filter(site=site)} if not site._state.adding else {}
        self.matcher = ModelMatcher.from_catalogue()
        self.models = dict(MinerModel.objects.values_list("pk", "name"))
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
                    self._refuse(row, column, _("at most %(limit)d printable characters") % {"limit": limit})
        self._read_address(row, fields)
        self._read_mac(row, fields)
        self._read_model(row, fields)
        return fields

    def _check_id(self, row: Row) -> None:
        miner_id = row.miner_id
        if not miner_id:
            self._refuse(row, "miner_id", _("is empty"))
        elif len(miner_id) > 50 or not miner_id.isprintable():
            self._refuse(row, "miner_id", _("at most %(limit)d printable characters") % {"limit": 50})
        elif miner_id in self.first_row:
            self._refuse(row, "miner_id", _("%(miner)s is in row %(row)d already") % {"miner": miner_id, "row": self.first_row[miner_id]})
        else:
            self.first_row[miner_id] = row.number

    def _read_address(self, row: Row, fields: dict[str, Any]) -> None:
        if port := row.cells.get("port"):
            if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536:
                fields["port"] = int(port)
            else:
                self._refuse(row, "port", _('"%(text)s" is not a number from 1 to 65535') % {"text": port})
        if not (text := row.cells.get("ip_address")):
            return
        try:
            address = Address.parse(text, default_port=0)
        except MinerNameError:
            self._refuse(
                row, "ip_address", _('"%(text)s" is neither an IP address nor a host name, with or without a port') % {"text": text}
            )
            return
        fields["ip_address"] = address.host
        if address.port:
            if fields.get("port", address.port) != address.port:
                self._refuse(row, "port", _("%(port)d, but the address says %(other)d") % {"port": fields["port"], "other": address.port})
            fields["port"] = address.port

    def _read_mac(self, row: Row, fields: dict[str, Any]) -> None:
        if text := row.cells.get("mac_address"):
            known = mac_address(text)
            if known is None:
                self._refuse(row, "mac_address", _('"%(text)s" is not a MAC address such as 02:00:5E:10:00:1F') % {"text": text})
            fields["mac_address"] = known

    def _read_model(self, row: Row, fields: dict[str, Any]) -> None:
        if not (text := row.cells.get("model")):
            return
        model = self.matcher.match(text)
        if model is None:
            near = difflib.get_close_matches(text, self.matcher.names(), n=1, cutoff=0.5)
            reason = _('"%(text)s" is not in the catalogue of models; what the miner reports counts') % {"text": text}
            hint = _("; did you mean %(name)s?") % {"name": near[0]} if near else ""
            self.plan.notes.append(RowError(row.number, "model", reason + hint))
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
                self._refuse(
                    row,
                    "ip_address",
                    _("%(address)s port %(port)d belongs to miner %(miner)s")
                    % {"address": place[0], "port": place[1], "miner": holder[place]},
                )
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
            self.plan.changes.append(RowChange(row.number, row.miner_id, self._compared(present, fields)))
            for name, value in {**final, "discovered": False}.items():
                setattr(present, name, value)
            self.plan.update.append(present)
        else:
            self.plan.unchanged += 1

    def _compared(self, present: Miner, fields: dict[str, Any]) -> dict[str, tuple[str, str]]:
        before = {name: getattr(present, name) for name in fields}
        changed = {
            name: (self._shown(name, before[name]), self._shown(name, fields[name])) for name in fields if before[name] != fields[name]
        }
        return {"model" if name == "model_id" else name: pair for name, pair in changed.items()}

    def _shown(self, name: str, value: Any) -> str:
        return self.models.get(value, "") if name == "model_id" else str(value)


_BLANK = Miner()
