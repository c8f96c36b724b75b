"""Columns in the binary form of PostgreSQL's COPY: nothing is printed here and nothing is parsed there.

A row is a 16-bit field count, then each field as a 32-bit length (-1 for NULL) and that many bytes, all big-endian
(PostgreSQL documentation, COPY, "Binary Format").
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from operator import add
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


def time_value(moment: datetime) -> int:
    """Microseconds since 2000, which is how PostgreSQL stores a time."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def encode(columns: Mapping[str, Sequence[Any]], *, kinds: Mapping[str, str]) -> tuple[list[str], bytes]:
    """The columns that were sent, in their order, and the data. A column without any value is left out: its field is NULL anyway.

    `kinds` are SQL types by column; times are `time_value`. No column is empty.
    """
    rows = len(next(iter(columns.values())))
    same: dict[str, bytes] = {}
    fixed: dict[str, str] = {}
    loose: dict[str, str | None] = {}
    for name, values in columns.items():
        code, first = FIXED.get(kinds[name]), values[0]
        if values.count(first) == rows:
            if first is not None:
                same[name] = next(iter(_one_by_one([first], code)))
        elif code and None not in values:
            fixed[name] = code
        else:
            loose[name] = code
    names = [*same, *fixed, *loose]
    start = struct.pack(">h", len(names)) + b"".join(same.values())
    heads = _side_by_side([(code, columns[name]) for name, code in fixed.items()], start=start, rows=rows)
    tails = [_one_by_one(columns[name], code) for name, code in loose.items()]
    return names, b"".join([HEADER, *chain.from_iterable(zip(heads, *tails, strict=True)), TRAILER])


def _side_by_side(columns: Sequence[tuple[str, Sequence[Any]]], *, start: bytes, rows: int) -> list[bytes]:
    """The beginning of every row: `start`, then the fields that are of the same size in all rows.

    Each column is packed in one go and its bytes are dealt out to the rows, the first of each value, then the second, and so on.
    """
    widths = [struct.calcsize(">" + code) for code, _ in columns]
    template = start + b"".join(struct.pack(">i", width) + bytes(width) for width in widths)
    size = len(template)
    block = bytearray(template * rows)
    place = len(start)
    for width, (code, values) in zip(widths, columns, strict=True):
        packed = struct.pack(f">{rows}{code}", *values)
        for byte in range(width):
            block[place + 4 + byte :: size] = packed[byte::width]
        place += 4 + width
    whole = bytes(block)
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


def _one_by_one(values: Sequence[Any], code: str | None) -> Iterable[bytes]:
    """Fields of differing size. Most values of a batch repeat from row to row, so each is encoded once."""
    distinct = [value for value in set(values) if value is not None]
    data = list(map(struct.Struct(">" + code).pack if code else str.encode, distinct))
    encoded: dict[Any, bytes] = dict(zip(distinct, map(add, map(_LENGTH, map(len, data)), data), strict=True))
    encoded[None] = NULL
    return map(encoded.__getitem__, values)
