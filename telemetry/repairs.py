"""Reads a record that the typed decoder refuses: numbers in text, words where a number belongs, odd times, broken text.

What can't be read is missing; what can be read and breaks a bound refuses the record. Bounds are not repeated here: the cleaned record
goes through the same typed model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from telemetry.readings import Board, Pool
from telemetry.records import Record, RecordRefused

Reader = Callable[[Any], Any]

NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[, \u00a0]\d{3})+)?(?:\.\d*)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
SEPARATORS = re.compile("[, \u00a0]")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
SMALLEST = 1e-30
"""What is closer to zero than this is zero: four-byte columns refuse it instead of rounding."""
TRUE_WORDS = frozenset({"true", "yes", "on", "online", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "offline", "0"})
MILLISECONDS_FROM = 1e11
"""An epoch number from here on counts milliseconds (as seconds it would be the year 5138)."""


def number(value: Any) -> float | None:
    """A finite number, from text with blanks and thousands separators as well; None for anything else."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return 1.7e308 if value > 0 else -1.7e308
    if not math.isfinite(value):
        return None
    return 0.0 if abs(value) < SMALLEST else value


def whole(value: Any) -> int | None:
    """A whole number; fractions are cut off."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 30:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    value = number(value)
    return None if value is None else int(value)


def _parsed(text: str) -> float | None:
    text = text.strip()
    if not text or len(text) > 60 or not NUMBER.fullmatch(text):
        return None
    try:
        return float(SEPARATORS.sub("", text))
    except ValueError:
        return None


def text(value: Any) -> str | None:
    """Text without what PostgreSQL can't store (NUL, lone surrogates) and without blanks around it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return UNSTORABLE.sub("", str(value) if not isinstance(value, int) or abs(value) < 1e30 else "").strip() or None


def identity(value: Any) -> str | None:
    """As it is: an identity with characters taken out would be another miner's."""
    return str(value) if isinstance(value, str) or (type(value) is int and abs(value) < 1e30) else None


def flag(value: Any) -> bool | None:
    word = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def moment(value: Any) -> datetime | None:
    """ISO 8601 in any of its forms, or seconds or milliseconds since 1970. None when empty; RecordRefused when unreadable."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    since_1970 = number(value)
    try:
        if since_1970 is not None:
            return datetime.fromtimestamp(since_1970 / (1000 if abs(since_1970) >= MILLISECONDS_FROM else 1), UTC)
        return datetime.fromisoformat(value.strip())
    except (ValueError, TypeError, AttributeError, OverflowError, OSError):
        raise RecordRefused("timestamp", "is not an ISO 8601 time") from None


def is_storable(value: Any) -> bool:
    """Whether no text in it has a NUL or a lone surrogate; unusual characters are taken for such, to be looked at closely."""
    if isinstance(value, str):
        return value.isprintable()
    if isinstance(value, dict):
        return all(map(is_storable, value.values()))
    return all(map(is_storable, value)) if isinstance(value, list) else True


def items(reader: Reader) -> Reader:
    """A reader of lists: what `reader` can't read is left out."""

    def read(value: Any) -> list[Any] | None:
        if not isinstance(value, list):
            return None
        return [item for item in map(reader, value) if item is not None]

    return read


def parts(kind: type[msgspec.Struct]) -> Reader:
    """A reader of nested objects: each field by itself, and a field that breaks a bound is left out."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        try:
            msgspec.convert(value, kind, strict=False)
        except ValueError:  # a bound, a type, or a name that is no text (a lone surrogate)
            return repair(value)
        return value if is_storable(value) else repair(value)

    def repair(value: dict[str, Any]) -> Any:
        fields = {}
        for name, (reader, hint) in readers.items():
            try:
                fields[name] = msgspec.convert(reader(value.get(name)), hint)
            except msgspec.ValidationError:
                continue
        try:
            return msgspec.to_builtins(kind(**fields))
        except TypeError:
            return None

    readers = {name: (_reader_of(hint), hint) for name, hint in get_type_hints(kind, include_extras=True).items()}
    return read


def first_boards(value: Any) -> Any:
    """Boards as the first collectors write them, numbered, in TH/s and with a 0 for what they don't know, in the contract's words."""
    if not isinstance(value, list):
        return value
    return [_first_board(board) if isinstance(board, dict) and "board_index" in board else board for board in value]


def _first_board(board: Mapping[str, Any]) -> dict[str, Any]:
    rate = number(board.get("hashrate_ths"))
    known = {name: board.get(name) for name in ("chips_ok", "chips_total")} if number(board.get("chips_total")) else {}
    return {"id": board["board_index"], "hashrate": rate and rate * 1000, "temp": number(board.get("temperature_c")) or None, **known}


def board_id(value: Any) -> int | str | None:
    return whole(value) if type(value) in (int, float) else text(value)


BY_TYPE: dict[Any, Reader] = {float: number, int: whole, str: text, bool: flag, datetime: moment}


def _reader_of(hint: Any) -> Reader:
    """The reader of an annotation such as `Annotated[list[float], Meta(max_length=100)] | None`."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return board_id if len(kinds) > 1 else _reader_of(kinds[0])
    if get_origin(hint) is Annotated:
        return _reader_of(get_args(hint)[0])
    if get_origin(hint) is list:
        return items(_reader_of(get_args(hint)[0]))
    if hint in (Board, Pool):
        return parts(hint)
    return BY_TYPE[hint]


_HINTS = get_type_hints(Record, include_extras=True)
READERS: dict[str, Reader] = {name: _reader_of(_HINTS[name]) for name in Record.__struct_fields__}
READERS |= {"miner_id": identity, "worker_id": identity}


def repaired(raw: Mapping[str, Any]) -> Record:
    """The record that `raw` means; raises RecordRefused with the first field that breaks a bound."""
    fields = {}
    for name, value in raw.items():
        reader = READERS.get(name)
        if reader is not None and value is not None and (readable := reader(value)) is not None:
            fields[name] = readable
    try:
        return msgspec.convert(fields, Record, strict=False)
    except msgspec.ValidationError as error:
        raise refusal(str(error)) from None


COMPLAINT = re.compile(r"Expected `(?P<kind>\w+)`(?: of length)? (?P<sign>[<>]=) (?P<bound>[-\d.]+) - at `\$\.(?P<field>\w+)")


def refusal(complaint: str) -> RecordRefused:
    """msgspec's complaint as field and reason."""
    match = COMPLAINT.search(complaint)
    if not match:
        return RecordRefused("record", complaint.partition(" - at ")[0])
    limit = "at most" if match["sign"] == "<=" else "at least"
    bound = f"{int(match['bound'].partition('.')[0]):,}"
    if match["kind"] == "str":
        return RecordRefused(match["field"], f"is longer than {bound} characters")
    if match["kind"] == "array":
        return RecordRefused(match["field"], f"has more than {bound} entries")
    return RecordRefused(match["field"], f"must be {limit} {bound}")
