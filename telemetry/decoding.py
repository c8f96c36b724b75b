"""The forms that the body of an upload has, and the ways to decode the records in it, the fastest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from resilience.bodies import BodyRefused, load_json
from telemetry.tolerance import KINDS_KEPT, Loosening, complaint_of, record_type

MOST_LOOSENINGS = 25
MOST_LATE_COMPLAINTS = 4
"""A complaint of another record than the first costs up to a whole attempt."""
_LIST = re.compile(rb"\s*\[")
FIRST_BOARDS = b'"board_index"'
"""Stands in the bodies of the first collectors, whose boards have names of their own: `telemetry.repairs.first_boards` reads them."""


class Envelope(msgspec.Struct):
    """What stands around the records. Nothing here is worth a refused batch, so nothing has a type."""

    device_id: Any = None
    zone_id: Any = None
    site_id: Any = None
    mode: Any = None
    timestamp: Any = None
    sent_at: Any = None
    collected_at: Any = None
    source_seq_start: Any = None
    source_seq_end: Any = None
    source_epoch: Any = None
    payload_enc: Any = None


class _Form:
    """One way to decode the records of all three body forms."""

    def __init__(self, record: Any) -> None:
        records: Any = list[record]
        fields = [(name, records | None, None) for name in ("records", "miners")]
        self._list = msgspec.json.Decoder(records, strict=False)
        self._envelope: Any = msgspec.json.Decoder(msgspec.defstruct("FullEnvelope", fields, bases=(Envelope,)), strict=False)

    def read(self, body: bytes | bytearray) -> tuple[Envelope, Sequence[Any]] | None:
        """None when the body is an object without records. Raises ValueError or RecursionError when it is something else."""
        if _LIST.match(body):
            return Envelope(), self._list.decode(body)
        envelope = self._envelope.decode(body)
        records = envelope.records if envelope.records is not None else envelope.miners
        return None if records is None else (envelope, records)


_raw = _Form(msgspec.Raw)


@lru_cache(KINDS_KEPT)
def _form(loosened: frozenset[Loosening]) -> _Form:
    return _Form(record_type(loosened))


def _decode_alike(body: bytes | bytearray) -> tuple[Envelope, Sequence[Any]] | None:
    """The records as one type, which is loosened as long as that leads further; None when they are too different."""
    loosened: frozenset[Loosening] = frozenset()
    late = 0
    while len(loosened) <= MOST_LOOSENINGS and late <= MOST_LATE_COMPLAINTS:
        try:
            return _form(loosened).read(body)
        except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors, bad UTF-8 as well
            complaint = complaint_of(str(error))
            if complaint is None or complaint.loosening in loosened:
                return None
            loosened |= {complaint.loosening}
            late += complaint.position > 0
    return None


def decode(body: bytes | bytearray) -> tuple[Envelope, Sequence[Any]]:
    """The body's envelope and its records: typed ones, or what is to be looked at one by one."""
    if b"\\" in body and b"\\u0000" in body:  # well typed, and yet no database stores it
        return _decode_loosely(body)
    if FIRST_BOARDS in body:
        return _decode_loosely(body)
    return _decode_alike(body) or _decode_one_by_one(body) or _decode_loosely(body)


def _decode_one_by_one(body: bytes | bytearray) -> tuple[Envelope, Sequence[msgspec.Raw]] | None:
    try:
        return _raw.read(body)
    except (ValueError, RecursionError):
        return None


def _decode_loosely(body: bytes | bytearray) -> tuple[Envelope, Sequence[Any]]:
    document = load_json(body)
    if isinstance(document, list):
        return Envelope(), document
    if not isinstance(document, dict):
        raise BodyRefused("Expected a JSON array of records, or an object with them under 'records' or 'miners'.")
    envelope = Envelope(**{name: document.get(name) for name in Envelope.__struct_fields__})
    records = next((document[name] for name in ("records", "miners") if isinstance(document.get(name), list)), None)
    if records is None and envelope.payload_enc:
        records = []
    if records is None:
        raise BodyRefused("The object has no list under 'records' or 'miners'.")
    return envelope, records
