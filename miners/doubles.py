"""Machines that a file gives to a second miner: by a MAC address or a serial number that another row, or another miner of any site, has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from miners.inventory_file import Row, RowError
from miners.models import Miner
from sites.models import Site

AT_ONCE = 1_000
"""Values in one question to the database."""


def doubles(site: Site, good: Sequence[tuple[Row, Any]], column: str, visible: QuerySet[Site] | None) -> Iterator[RowError]:
    """A row for each value of `column` that is somebody else's. What a miner has already stays its own.

    Miners of sites that are not `visible` are not named; None names all.
    """
    new = [(row, found.instance) for row, found in good if _is_new(row, found, column)]
    holders = _holders(site, good, column, {getattr(miner, column) for _row, miner in new}, visible)
    for row, found in good:
        if (value := getattr(found.instance, column)) and not _is_new(row, found, column):
            holders[value] = _in_row(row) if row.cells.get(column) else _of_miner(row.miner_id, site)
    for row, miner in new:
        holder = holders.setdefault(getattr(miner, column), _in_row(row))
        if holder != _in_row(row):
            yield RowError(row.number, column, f"{getattr(miner, column)} {holder}")


def _is_new(row: Row, found: Any, column: str) -> bool:
    if not row.cells.get(column):
        return False
    return bool(found.is_new() or getattr(found.original, column) != getattr(found.instance, column))


def _holders(site: Site, good: Sequence[tuple[Row, Any]], column: str, values: set[str], visible: QuerySet[Site] | None) -> dict[str, str]:
    """Value → whose it is in the database, in words; miners that the file names are judged by their rows."""
    named = {row.miner_id for row, _found in good}
    seen = None if visible is None else set(visible.values_list("pk", flat=True))
    holders = {}
    for miner in _having(column, sorted(values)):
        if miner.site_id == site.pk and miner.miner_id in named:
            continue
        may_name = seen is None or miner.site_id in seen
        holders[getattr(miner, column)] = _of_miner(miner.miner_id, miner.site) if may_name else _("belongs to a miner of another site")
    return holders


def _having(column: str, values: Sequence[str]) -> Iterator[Miner]:
    for start in range(0, len(values), AT_ONCE):
        some = values[start : start + AT_ONCE]
        yield from Miner.objects.filter(**{f"{column}__in": some}).select_related("site").only("miner_id", column, "site__code")


def _in_row(row: Row) -> str:
    return _("is in row %(row)d already") % {"row": row.number}


def _of_miner(miner_id: str, site: Site) -> str:
    return _("belongs to miner %(miner)s (site %(site)s)") % {"miner": miner_id, "site": site.code}
