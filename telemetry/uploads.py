"""Turns the unpacked body of an upload into readings and a list of the records that were refused.

Several ways lead to the same model, the fastest first: the whole body in one go; record by record, typed; record by record, repaired. A bad
record never costs its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec

from resilience.bodies import BodyRefused, BodyTooLarge, EncryptedBody, load_json
from telemetry.readings import RecordError
from telemetry.records import CleanRecord, Record, RecordRefused
from telemetry.repairs import READERS, is_storable, moment, repaired, text, whole
from telemetry.settling import EARLIEST_YEAR, settle

OBJECTS_PER_RECORD = 40
VALUES_PER_RECORD = 400
"""Far more than any record has (10 boards, 120 list entries, 40 fields): more is an attack on memory."""


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


class CleanEnvelope(Envelope):
    records: list[CleanRecord] | None = None
    miners: list[CleanRecord] | None = None


class StrictEnvelope(Envelope):
    records: list[Record] | None = None
    miners: list[Record] | None = None


class RawEnvelope(Envelope):
    records: list[msgspec.Raw] | None = None
    miners: list[msgspec.Raw] | None = None


class TolerantRecord(Record, kw_only=True, forbid_unknown_fields=False):
    """A record that may have fields this server does not know."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """The readings of one upload, and why the others are none."""

    readings: Sequence[Record]
    errors: list[RecordError] = field(default_factory=list)
    received: int
    ignored_fields: int = 0
    """Fields of records that this server does not know."""
    site_id: str = ""
    device_id: str = ""
    zone_id: str = ""
    mode: str = ""
    sequence_start: int | None = None
    sequence_end: int | None = None
    sequence_epoch: str = ""


class _Form:
    """One way to decode the records of all three body forms."""

    def __init__(self, record: Any, envelope: type[Envelope]) -> None:
        self._list = msgspec.json.Decoder(list[record], strict=False)
        self._envelope = msgspec.json.Decoder(envelope, strict=False)

    def decode(self, body: bytes | bytearray) -> tuple[Envelope, Sequence[Any]] | None:
        """None when the body does not have this form."""
        try:
            if body.lstrip()[:1] == b"[":
                return Envelope(), self._list.decode(body)
            envelope: Any = self._envelope.decode(body)
        except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors, bad UTF-8 as well
            return None
        records = envelope.records if envelope.records is not None else envelope.miners
        return None if records is None else (envelope, records)


_clean = _Form(CleanRecord, CleanEnvelope)
_strict = _Form(Record, StrictEnvelope)
_raw = _Form(msgspec.Raw, RawEnvelope)
_known = msgspec.json.Decoder(Record, strict=False)
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tolerant = msgspec.json.Decoder(TolerantRecord, strict=False)


def parse_batch(body: bytes | bytearray, *, received_at: datetime, max_records: int) -> Batch:
    """`body` is UTF-8. Raises BodyRefused when the batch as a whole can't be read."""
    _check_size(body, max_records)
    envelope, records = _decode(body)
    if envelope.payload_enc:
        raise EncryptedBody("Encrypted payloads are not supported: TLS protects the upload. Send the records themselves.")
    if len(records) > max_records:
        raise BodyTooLarge(f"The batch has {len(records):,} records; at most {max_records:,} are taken at once.")
    batch = _described(envelope, received=len(records))
    _settle_all(batch, records, sent_at=_sent_at(envelope) or received_at)
    return batch


def _check_size(body: bytes | bytearray, max_records: int) -> None:
    """Refuse what would decode into far more objects than a batch holds, before anything is decoded."""
    if body.count(b"{") > max_records * OBJECTS_PER_RECORD or body.count(b",") > max_records * VALUES_PER_RECORD:
        raise BodyTooLarge(f"The body has more values than {max_records:,} records can hold.")


def _decode(body: bytes | bytearray) -> tuple[Envelope, Sequence[Any]]:
    if b"\\" in body and b"\\u0000" in body:  # well typed, and yet no database stores it
        return _decode_loosely(body)
    return _clean.decode(body) or _strict.decode(body) or _raw.decode(body) or _decode_loosely(body)


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


def _settle_all(batch: Batch, records: Sequence[Any], *, sent_at: datetime) -> None:
    typed: list[Record] = []
    indexes: list[int] = []
    for index, item in enumerate(records):
        try:
            typed.append(item if isinstance(item, Record) else _record_of(item, batch))
        except RecordRefused as refusal:
            batch.errors.append(RecordError(index, refusal.field, refusal.reason))
        else:
            indexes.append(index)
    refused = settle(typed, sent_at=sent_at)
    batch.errors += [RecordError(indexes[position], refusal.field, refusal.reason) for position, refusal in refused.items()]
    batch.errors.sort(key=attrgetter("index"))
    batch.readings = [record for position, record in enumerate(typed) if position not in refused] if refused else typed


def _record_of(item: Any, batch: Batch) -> Record:
    if not isinstance(item, msgspec.Raw):
        return _from_object(item, batch)
    try:
        return _typed(item, batch)
    except (ValueError, RecursionError):
        pass
    try:
        return _from_object(load_json(bytes(item)), batch)
    except BodyRefused as refused:
        raise RecordRefused("record", str(refused)) from None


def _typed(item: msgspec.Raw, batch: Batch) -> Record:
    """The record when its types are right. The records of one agent are alike: until one has unknown fields, none is looked for."""
    if not batch.ignored_fields:
        try:
            return _known.decode(item)
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error):
                raise
    unknown = _names.decode(item).keys() - READERS.keys()
    record = _tolerant.decode(item)
    batch.ignored_fields += len(unknown)
    return record


def _from_object(item: Any, batch: Batch) -> Record:
    if not isinstance(item, dict):
        raise RecordRefused("record", "is not an object")
    batch.ignored_fields += len(item.keys() - READERS.keys())
    try:
        record = msgspec.convert(item, TolerantRecord, strict=False)
    except (ValueError, RecursionError):
        return repaired(item)
    return record if is_storable(item) else repaired(item)


def _sent_at(envelope: Envelope) -> datetime | None:
    for value in (envelope.sent_at, envelope.collected_at, envelope.timestamp):
        try:
            time = moment(value)
            time = time and (time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
        except (RecordRefused, OverflowError):
            continue
        if time and time.year >= EARLIEST_YEAR:
            return time
    return None


def _described(envelope: Envelope, *, received: int) -> Batch:
    return Batch(
        readings=[],
        received=received,
        site_id=(text(envelope.site_id) or "")[:50],
        device_id=(text(envelope.device_id) or "")[:100],
        zone_id=(text(envelope.zone_id) or "")[:50],
        mode=(text(envelope.mode) or "")[:10],
        sequence_start=_sequence(envelope.source_seq_start),
        sequence_end=_sequence(envelope.source_seq_end),
        sequence_epoch=(text(envelope.source_epoch) or "")[:64],
    )


def _sequence(value: Any) -> int | None:
    position = whole(value)
    return position if position is not None and abs(position) < 2**63 else None
