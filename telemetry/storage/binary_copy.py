"""Rows in the binary form of PostgreSQL's COPY: nothing is printed here and nothing is parsed there.

A row is a 16-bit field count, then each field as a 32-bit length (-1 for NULL) and that many bytes, all big-endian
(PostgreSQL documentation, COPY, "Binary Format").
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
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

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH = struct.Struct(">i").pack


def time_value(moment: datetime) -> int:
    """Microseconds since 2000, which is how PostgreSQL stores a time."""
    return (moment - _EPOCH) // _MICROSECOND


class RowEncoder:
    """Encodes rows of columns of fixed size (times as `time_value`), then texts that repeat, then texts that are each row's own."""

    def __init__(self, kinds: Sequence[str], *, repeated: int, own: int) -> None:
        self.formats = tuple(FIXED[kind] for kind in kinds)
        self.count = len(kinds) + repeated + own
        self.repeated = slice(len(kinds), len(kinds) + repeated)
        self._packer = lru_cache(maxsize=1024)(self._make_packer)

    def encode(self, rows: Iterable[tuple[Any, ...]]) -> bytes:
        remembered = _Texts().__getitem__
        start, end = self.repeated.start, self.repeated.stop
        parts = [HEADER]
        for row in rows:
            numbers = row[:start]
            parts.append(self._packer(tuple([value is None for value in numbers]))(numbers))
            parts += map(remembered, row[start:end])
            parts += map(_encoded, row[end:])
        parts.append(TRAILER)
        return b"".join(parts)

    def _make_packer(self, nulls: tuple[bool, ...]) -> Callable[[tuple[Any, ...]], bytes]:
        """A function for rows with NULL in just these places; real rows come in a few such patterns, so each is made once."""
        sizes = tuple(-1 if null else struct.calcsize(">" + code) for null, code in zip(nulls, self.formats, strict=True))
        pack = struct.Struct(">h" + "".join("i" if null else "i" + code for null, code in zip(nulls, self.formats, strict=True))).pack
        places = [0]
        for index, null in enumerate(nulls):
            places += [1 + index] if null else [1 + index, 1 + len(sizes) + index]
        arrange = itemgetter(*places)
        constants = (self.count, *sizes)
        return lambda values: pack(*arrange(constants + values))


def _encoded(text: str | None) -> bytes:
    if text is None:
        return NULL
    data = text.encode()
    return _LENGTH(len(data)) + data


class _Texts(dict[str | None, bytes]):
    """Encoded texts of one batch: models, pools and states repeat from row to row."""

    def __missing__(self, text: str | None) -> bytes:
        encoded = self[text] = _encoded(text)
        return encoded
