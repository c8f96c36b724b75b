"""Where miners stand: moving them on the floor map, and a whole layout from a file.

    plan = plan_layout(site, table)
    plan = apply_layout(site, table)

What is wrong is told by row and column, and costs only its row. A slot holds one miner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from miners.inventory_file import Row, RowError, Table
from miners.models import Miner
from sites.changes import note_changes
from sites.models import Site

LONGEST_NAME = 50


class Place(NamedTuple):
    """Empty parts are unknown; a miner without a rack stands nowhere and waits in the tray."""

    zone: str = ""
    rack: str = ""
    slot: str = ""

    def __str__(self) -> str:
        return " / ".join(part for part in self if part)


class PlaceTaken(Exception):
    """Another miner stands there. The message names both."""


class PlaceNameRefused(Exception):
    """A zone, rack or slot that no label could hold."""


class Move(NamedTuple):
    """One miner's way, as row `row` of a file has it."""

    row: int
    miner: Miner
    before: Place
    after: Place


@dataclass(slots=True)
class LayoutPlan:
    """What a file would change."""

    site: Site
    moves: list[Move] = field(default_factory=list)
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)


def place_of(miner: Miner) -> Place:
    return Place(miner.zone, miner.rack, miner.slot)


def move(site: Site, places: dict[int, Place]) -> int:
    """Put the miners of these primary keys there; how many moved. Two may change places.

    Raises PlaceTaken and PlaceNameRefused, and then moves none. Keys of other sites are left out.
    """
    for place in places.values():
        _check_names(place)
    with transaction.atomic():
        _take_turns(site)
        miners = list(Miner.objects.select_for_update().filter(site=site, pk__in=places).order_by("pk"))
        moved = [miner for miner in miners if place_of(miner) != places[miner.pk]]
        _check_free(site, [(miner.miner_id, places[miner.pk]) for miner in miners], leaving={miner.pk for miner in miners})
        _store([(miner, places[miner.pk]) for miner in moved])
    return len(moved)


def in_a_row(keys: Sequence[int], *, zone: str, rack: str, first_slot: str) -> dict[int, Place]:
    """The keys side by side from `first_slot` on. A slot that is no number is for one miner; an empty one leaves the slots unknown."""
    if first_slot.isdecimal():
        return {key: Place(zone, rack, str(int(first_slot) + number)) for number, key in enumerate(keys)}
    if first_slot and len(keys) > 1:
        raise PlaceNameRefused(_("Several miners cannot stand in one slot: give the number of the first slot."))
    return {key: Place(zone, rack, first_slot) for key in keys}


def plan_layout(site: Site, table: Table) -> LayoutPlan:
    """Columns that the file does not have, and cells that are empty, leave that part of a place as it is."""
    plan = LayoutPlan(site, errors=list(table.errors))
    known = {miner.miner_id: miner for miner in Miner.objects.filter(site=site)}
    seen: set[str] = set()
    for row in table.rows:
        if row.miner_id not in known:
            plan.errors.append(RowError(row.number, "miner_id", _("%(name)s is no miner of this site") % {"name": row.miner_id or "–"}))
        elif row.miner_id in seen:
            plan.errors.append(RowError(row.number, "miner_id", _("%(name)s is here twice") % {"name": row.miner_id}))
        else:
            seen.add(row.miner_id)
            _plan_row(plan, row, known[row.miner_id])
    _drop_clashes(plan, {place_of(miner): miner.miner_id for miner in known.values() if miner.slot})
    plan.errors.sort(key=lambda error: error.row)
    return plan


def _plan_row(plan: LayoutPlan, row: Row, miner: Miner) -> None:
    before = place_of(miner)
    after = Place(*(row.cells.get(name, old) for name, old in zip(Place._fields, before, strict=True)))
    try:
        _check_names(after)
    except PlaceNameRefused as error:
        plan.errors.append(RowError(row.number, "place", str(error)))
        return
    if after == before:
        plan.unchanged += 1
    else:
        plan.moves.append(Move(row.number, miner, before, after))


def _drop_clashes(plan: LayoutPlan, holders: dict[Place, str]) -> None:
    """Leave out moves into a slot that stays occupied, or that two rows want; one that is left out may make others impossible."""
    while True:
        leaving = {step.miner.miner_id for step in plan.moves}
        taken = {place: name for place, name in holders.items() if name not in leaving}
        kept = []
        for step in plan.moves:
            if step.after.slot and step.after in taken:
                text = _("%(place)s is the place of %(name)s") % {"place": step.after, "name": taken[step.after]}
                plan.errors.append(RowError(step.row, "slot", text))
            else:
                taken[step.after] = step.miner.miner_id
                kept.append(step)
        if len(kept) == len(plan.moves):
            return
        plan.moves = kept


@transaction.atomic
def apply_layout(site: Site, table: Table) -> LayoutPlan:
    """Store what the file changes, of the places as they are once nobody else changes them; what was done."""
    _take_turns(site)
    plan = plan_layout(site, table)
    _store([(step.miner, step.after) for step in plan.moves])
    return plan


def _take_turns(site: Site) -> None:
    """Until the transaction ends nobody else gives out places of the site. Readings of it go on being stored."""
    Site.objects.select_for_update(no_key=True).get(pk=site.pk)


def _store(placed: Sequence[tuple[Miner, Place]]) -> None:
    for miner, place in placed:
        miner.zone, miner.rack, miner.slot = place
    miners = [miner for miner, _place in placed]
    Miner.objects.bulk_update(miners, ["zone", "rack", "slot"], batch_size=500)
    note_changes(miners)


def _check_names(place: Place) -> None:
    for name, text in zip(Place._fields, place, strict=True):
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise PlaceNameRefused(_("%(part)s: at most %(most)d printable characters") % {"part": name, "most": LONGEST_NAME})


def _check_free(site: Site, wanted: Iterable[tuple[str, Place]], *, leaving: set[int]) -> None:
    taken: dict[Place, str] = {}
    slots = [(name, place) for name, place in wanted if place.slot]
    racks = {(place.zone, place.rack) for _name, place in slots}
    for zone, rack in racks:
        others = Miner.objects.filter(site=site, zone=zone, rack=rack).exclude(slot="").exclude(pk__in=leaving)
        taken |= {Place(zone, rack, slot): name for slot, name in others.values_list("slot", "miner_id")}
    for name, place in slots:
        if place in taken:
            words = {"name": name, "place": place, "other": taken[place]}
            raise PlaceTaken(_("%(name)s cannot stand at %(place)s: %(other)s stands there.") % words)
        taken[place] = name
