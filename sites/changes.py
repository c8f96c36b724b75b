"""The history of what people configure: who changed what, from what to what. Observed facts (readings, last uses) have none.

A model that is configured carries `changes = ChangeRecords(...)`. Saving it writes the record; bulk writes and `update()` do not, so their
callers add `note_additions` or `note_changes`. `read_changes` turns records into what a page shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import ForeignKey, Model, OuterRef, Q, QuerySet, Subquery
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from simple_history.models import HistoricalRecords
from simple_history.utils import get_change_reason_from_object

BATCH = 2_000
NEW_PASSWORD = gettext_noop("new password")
NOTHING = "–"


class ChangeRecords(HistoricalRecords):  # type: ignore[misc]  # django-simple-history carries no types
    """Records of one model. A save that changes nothing that is recorded, a login for one, leaves none."""

    def post_save(self, instance: Any, created: bool, using: str | None = None, **kwargs: Any) -> None:
        if getattr(instance, "_password", None) and not created:  # Django's mark of a password that was just set
            instance._change_reason = NEW_PASSWORD
        if created or get_change_reason_from_object(instance) or self._differs(instance):
            super().post_save(instance, created, using=using, **kwargs)

    def m2m_changed(self, instance: Any, action: str, attr: str, pk_set: set[int] | None, reverse: bool, **kwargs: Any) -> None:
        """Also when it is changed from the other side: a user who is given a site is a change of the site."""
        changed = self.cls._default_manager.filter(pk__in=pk_set or ()) if reverse else [instance]
        for each in changed:
            super().m2m_changed(each, action, attr, pk_set, False, **kwargs)

    def _differs(self, instance: Any) -> bool:
        newest = instance.changes.first()
        return newest is None or any(
            getattr(newest, field.attname) != getattr(instance, field.attname) for field in type(newest).tracked_fields
        )


def note_additions(rows: Sequence[Any], *, by: Any = None, reason: str = "") -> None:
    """Record rows that were written past `save()`; `by` is who did it, by default who sent the request."""
    _note(rows, by=by, reason=reason, update=False)


def note_changes(rows: Sequence[Any], *, by: Any = None, reason: str = "") -> None:
    """As `note_additions`, of rows that were there before. They carry all their columns as they are now."""
    _note(rows, by=by, reason=reason, update=True)


def _note(rows: Sequence[Any], *, by: Any, reason: str, update: bool) -> None:
    for start in range(0, len(rows), BATCH):
        chunk = rows[start : start + BATCH]
        records = type(chunk[0]).changes.bulk_history_create(
            chunk, update=update, default_user=by, default_change_reason=reason[:100] or None
        )
        if update:  # what was just added has no members yet
            _note_members(records)


def _note_members(records: Sequence[Any]) -> None:
    """What many-to-many columns of the recorded rows hold, as `save()` records it."""
    key = records[0].instance_type._meta.pk.attname
    record_of = {getattr(record, key): record.pk for record in records}
    for field in records[0]._history_m2m_fields:
        through, kept = getattr(records[0].instance_type, field.name).through, getattr(records[0], field.name).model
        own = f"{field.m2m_field_name()}_id"
        members = through.objects.filter(**{f"{own}__in": list(record_of)}).values()
        kept.objects.bulk_create(kept(history_id=record_of[member[own]], **member) for member in members)


@dataclass(frozen=True, slots=True)
class FieldChange:
    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One record as a page shows it. `kind` is "+" added, "~" changed or "-" deleted; `who` is empty when no person did it."""

    at: datetime
    who: str
    kind: str
    model: type[Model]
    object_id: Any
    name: str
    reason: str
    fields: Sequence[FieldChange]


def read_changes(records: QuerySet[Any]) -> list[Change]:
    """`records` of one model's history (a page of it, newest first), each with what it changed."""
    shown = list(records.select_related("history_user"))
    before = _previous(shown)
    lookup = _Lookup([*shown, *before.values()])
    return [_change(record, before.get(record.pk), lookup) for record in shown]


def _previous(shown: Sequence[Any]) -> dict[int, Any]:
    """The record before each of `shown`, by the latter's key."""
    if not shown:
        return {}
    model: Any = type(shown[0])
    key = model.instance_type._meta.pk.attname
    earlier = model.objects.filter(
        Q(history_date__lt=OuterRef("history_date")) | Q(history_date=OuterRef("history_date"), history_id__lt=OuterRef("history_id")),
        **{key: OuterRef(key)},
    ).order_by("-history_date", "-history_id")
    of_each = model.objects.filter(pk__in=[record.pk for record in shown]).annotate(earlier=Subquery(earlier.values("pk")[:1]))
    keys = dict(of_each.exclude(earlier=None).order_by().values_list("pk", "earlier"))
    records = model.objects.in_bulk(set(keys.values()))
    return {pk: records[before] for pk, before in keys.items()}


class _Lookup:
    """What columns of records point to: one query a model, one more a many-to-many column."""

    def __init__(self, records: Sequence[Any]) -> None:
        self._members: dict[tuple[str, int], list[Any]] = defaultdict(list)
        self._wanted: dict[type[Model], set[Any]] = defaultdict(set)
        self._found: dict[type[Model], dict[Any, Any]] = {}
        for field in records[0]._history_m2m_fields if records else ():
            self._read_members(field, records)
        for record in records:
            for field in record.tracked_fields:
                if isinstance(field, ForeignKey):
                    self._wanted[field.related_model].add(getattr(record, field.attname))

    def _read_members(self, field: Any, records: Sequence[Any]) -> None:
        kept = getattr(records[0], field.name).model
        rows = kept.objects.filter(history_id__in=[record.pk for record in records])
        for record_pk, member in rows.values_list("history_id", f"{field.m2m_reverse_field_name()}_id"):
            self._members[field.name, record_pk].append(member)
            self._wanted[field.related_model].add(member)

    def members(self, record: Any, field: Any) -> list[Any]:
        return self._members[field.name, record.pk]

    def row(self, model: type[Model], pk: Any) -> Any:
        """None when it was deleted since."""
        if model not in self._found:
            self._found[model] = model._default_manager.in_bulk(self._wanted[model] - {None})
        return self._found[model].get(pk)

    def name(self, model: type[Model], pk: Any) -> str:
        return str(self.row(model, pk) or f"#{pk}")


def _change(record: Any, before: Any, lookup: _Lookup) -> Change:
    instance = record.instance_type
    fields = _differences(record, before, lookup) if before is not None and record.history_type == "~" else []
    return Change(
        at=record.history_date,
        who=str(record.history_user or ""),
        kind=record.history_type,
        model=instance,
        object_id=getattr(record, instance._meta.pk.attname),
        name=_name(record, lookup),
        reason=_(record.history_change_reason) if record.history_change_reason else "",
        fields=fields,
    )


def _name(record: Any, lookup: _Lookup) -> str:
    """What the row was called then."""
    row = record.instance_type(**{field.attname: getattr(record, field.attname) for field in record.tracked_fields})
    for field in record.tracked_fields:
        if isinstance(field, ForeignKey):
            setattr(row, field.name, lookup.row(field.related_model, getattr(record, field.attname)))
    return str(row)


def _differences(record: Any, before: Any, lookup: _Lookup) -> list[FieldChange]:
    found = []
    for field in record.tracked_fields:
        old, new = getattr(before, field.attname), getattr(record, field.attname)
        if old != new:
            found.append(FieldChange(_label(field), _shown(field, old, lookup), _shown(field, new, lookup)))
    for field in record._history_m2m_fields:
        old, new = lookup.members(before, field), lookup.members(record, field)
        if set(old) != set(new):
            found.append(FieldChange(_label(field), _listed(field, old, lookup), _listed(field, new, lookup)))
    return found


def _label(field: Any) -> str:
    return str(capfirst(field.verbose_name))


def _listed(field: Any, keys: Iterable[Any], lookup: _Lookup) -> str:
    return ", ".join(sorted(lookup.name(field.related_model, pk) for pk in keys)) or NOTHING


def _shown(field: Any, value: Any, lookup: _Lookup) -> str:
    """A column's value in words."""
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(field, ForeignKey):
        return lookup.name(field.related_model, value)
    if field.flatchoices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
