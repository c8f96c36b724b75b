"""Types of records for what agents in the field send and the contract's types refuse.

The records of one agent are alike. So the type is loosened exactly where the decoder complains, and all of them are decoded at once: much
faster than looking at each. Three things are tolerated: a count among readings, a number in text, a field this server does not know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, get_type_hints

import msgspec
from msgspec import Raw

from telemetry.records import CleanRecord, Record, RecordRefused
from telemetry.repairs import READERS, refusal

KINDS_KEPT = 32
_ABSENT = Raw(b"")
_HINTS = get_type_hints(Record, include_extras=True)
_CLEAN_HINTS = get_type_hints(CleanRecord, include_extras=True)
_WHERE = r" - at `\$(?:\.\w+)?\[(?P<index>\d+)\]"
_COMPLAINTS = {
    "count": re.compile(rf"Expected `\w+` [<>]= [-\d.]+{_WHERE}\.(?P<field>fan_speeds|temperature_chips)\[\d+\]`"),
    "text": re.compile(rf"Expected `(?:int|float) \| null`, got `str`{_WHERE}\.(?P<field>\w+)`"),
    "unknown": re.compile(rf"Object contains unknown field `(?P<field>.*)`{_WHERE}`", re.DOTALL),
}


class Loosening(NamedTuple):
    """What is tolerated of one field: a "count" among its readings, its number in "text", that it is "unknown"."""

    what: str
    field: str


class Complaint(NamedTuple):
    """What the decoder has against one record, by its position."""

    position: int
    loosening: Loosening


def complaint_of(message: str) -> Complaint | None:
    """What msgspec's message complains of, if that can be tolerated."""
    for what, pattern in _COMPLAINTS.items():
        if match := pattern.fullmatch(message):
            return Complaint(int(match["index"]), Loosening(what, match["field"]))
    return None


class AlikeRecord(Record, kw_only=True, forbid_unknown_fields=True):
    """The base of the types that are made here, all records of an upload into one of them."""

    in_text: ClassVar[Sequence[str]] = ()
    """Fields whose number may still be text."""
    unknown: ClassVar[Sequence[str]] = ()
    """Attributes that hold what this server does not know."""


@lru_cache(KINDS_KEPT)
def record_type(loosened: frozenset[Loosening]) -> Any:
    """The type of records that are clean but for what is `loosened`."""
    if not loosened:
        return CleanRecord
    doubtful = {field for what, field in loosened if what == "count"}
    in_text = sorted(field for what, field in loosened if what == "text")
    unknown = {f"unknown_{place}": field for place, (what, field) in enumerate(sorted(loosened)) if what == "unknown"}
    fields = [
        *[(name, _CLEAN_HINTS[name], None) for name in Record.doubtful - doubtful],
        *[(name, _HINTS[name] | str, None) for name in in_text],
        *[(name, Raw, msgspec.field(name=field, default=_ABSENT)) for name, field in unknown.items()],
    ]
    facts = {"doubtful": frozenset(doubtful), "in_text": in_text, "unknown": tuple(unknown)}
    return msgspec.defstruct("AlikeRecord", fields, bases=(AlikeRecord,), namespace=facts, kw_only=True, forbid_unknown_fields=True)


def count_unknown(records: Sequence[Record]) -> int:
    """How many fields the records have that this server does not know."""
    if not records or not isinstance(records[0], AlikeRecord):
        return 0
    return sum(getattr(record, name) is not _ABSENT for name in records[0].unknown for record in records)


def read_numbers(records: Sequence[Record]) -> dict[int, RecordRefused]:
    """Make numbers of those that are text; what is no number is missing. Returns the records that break a bound, by position."""
    refused: dict[int, RecordRefused] = {}
    if not records or not isinstance(records[0], AlikeRecord):
        return refused
    for name in records[0].in_text:
        for position, record in enumerate(records):
            if isinstance(text := getattr(record, name), str):
                setattr(record, name, None)
                try:
                    checked = msgspec.convert({name: READERS[name](text)}, Record)
                except msgspec.ValidationError as error:
                    refused.setdefault(position, refusal(str(error)))
                else:
                    setattr(record, name, getattr(checked, name))
    return refused
