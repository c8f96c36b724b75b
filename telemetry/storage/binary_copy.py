"""Columns in the binary form of PostgreSQL's COPY: nothing is printed here and nothing is parsed there.

A row is a 16-bit field count, then each field as a 32-bit length (-1 for NULL) and that many bytes, all big-endian
(PostgreSQL documentation, COPY, "Binary Format").
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)

FIXED = {
    "boolean": "?",
    "smallint": "h",
    "integer": "i",
    "bigint": "q",
    "real": "f",
    "double precision": "d",
    "timestamp with time zone": "q",
}
"""`struct` format by SQL type; every other type is sent as text."""

_LENGTH = struct.Struct(">i").pack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_value(moment: datetime) -> int:
    """Microseconds since 2000, which is how PostgreSQL stores a time."""
    return (moment - _EPOCH) // _MICROSECOND


def as_parameter(value: Any, kind: str) -> Any:
    """A value of a column as a parameter of SQL, the same to the last bit as if it were sent in binary form."""
    if value is None or kind not in FIXED:
        return value.decode() if isinstance(value, bytes) else value
    if kind == "timestamp with time zone":
        return _EPOCH + value * _MICROSECOND
    return struct.unpack(FIXED[kind], struct.pack(FIXED[kind], value))[0]


def divide(columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """The columns that differ from row to row, and the value of each of the others. `miner_id` is never among those."""
    same = {name: values[0] for name, values in columns.items() if values[0] == values[-1] and values.count(values[0]) == len(values)}
    same.pop("miner_id", None)
    return {name: values for name, values in columns.items() if name not in same}, same


def encode(columns: Mapping[str, Sequence[Any]], *, kinds: Mapping[str, str]) -> tuple[list[str], bytes]:
    """The names of the columns in the order in which they are sent, and the data.

    `kinds` are SQL types by column; times are `time_value`, texts `str` or UTF-8. No column is empty.
    """
    rows = len(next(iter(columns.values())))
    packed = {name: data for name, values in columns.items() if (data := _packed(values, FIXED.get(kinds[name]))) is not None}
    loose = [name for name in columns if name not in packed]
    heads = _side_by_side(packed.values(), start=struct.pack(">h", len(columns)), rows=rows)
    tails = chain.from_iterable(_one_by_one(columns[name], FIXED.get(kinds[name])) for name in loose)
    return [*packed, *loose], b"".join([HEADER, *chain.from_iterable(zip(heads, *tails, strict=True)), TRAILER])


def _packed(values: Sequence[Any], code: str | None) -> bytes | None:
    """The values one behind the other; None when they are not all of one size."""
    try:
        return struct.pack(f">{len(values)}{code}", *values) if code and values[0] is not None else None
    except struct.error:  # one of them is None
        return None


def _side_by_side(columns: Collection[bytes], *, start: bytes, rows: int) -> list[bytes]:
    """The beginning of every row: `start`, then the fields that are of the same size in all rows.

    The bytes of each column are dealt out to the rows, the first of each value, then the second, and so on.
    """
    widths = [len(packed) // rows for packed in columns]
    template = start + b"".join(struct.pack(">i", width) + bytes(width) for width in widths)
    size = len(template)
    block = bytearray(template * rows)
    place = len(start)
    for width, packed in zip(widths, columns, strict=True):
        for byte in range(width):
            block[place + 4 + byte :: size] = packed[byte::width]
        place += 4 + width
    whole = bytes(block)
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


def _one_by_one(values: Sequence[Any], code: str | None) -> tuple[Iterable[bytes], ...]:
    """Fields that differ in size, or that some rows lack: whole, or their lengths and apart from them what they hold."""
    if code:
        width = struct.calcsize(">" + code)
        field = struct.Struct(f">i{code}").pack
        return ([NULL if value is None else field(width, value) for value in values],)
    if None in values:
        return ([NULL if value is None else _sized(value.encode()) for value in values],)
    data = values if isinstance(values[0], bytes) else list(map(str.encode, values))
    return _lengths(data), data


def _lengths(data: Sequence[bytes]) -> Iterable[bytes]:
    packed = struct.pack(f">{len(data)}i", *map(len, data))
    return [packed[begin : begin + 4] for begin in range(0, len(packed), 4)]


def _sized(data: bytes) -> bytes:
    return _LENGTH(len(data)) + data
