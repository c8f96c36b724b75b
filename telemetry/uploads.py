"""Turns the unpacked body of an upload into readings and a list of the records that were refused.

Records that the decoder could not make all at once are made one by one, typed if their types are right and repaired if not. A bad record
never costs its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec

from resilience.bodies import BodyRefused, BodyTooLarge, EncryptedBody, load_json
from telemetry.decoding import Envelope, decode
from telemetry.readings import RecordError
from telemetry.records import Record, RecordRefused
from telemetry.repairs import READERS, first_boards, is_storable, moment, repaired, text, whole
from telemetry.settling import EARLIEST_YEAR, settle
from telemetry.tolerance import count_unknown, read_numbers

OBJECTS_PER_RECORD = 40
VALUES_PER_RECORD = 400
"""Far more than any record has (10 boards, 120 list entries, 40 fields): more is an attack on memory."""


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


_known = msgspec.json.Decoder(Record, strict=False)
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tolerant = msgspec.json.Decoder(TolerantRecord, strict=False)


def parse_batch(body: bytes | bytearray, *, received_at: datetime, max_records: int) -> Batch:
    """`body` is UTF-8. Raises BodyRefused when the batch as a whole can't be read."""
    _check_size(body, max_records)
    envelope, records = decode(body)
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
    batch.ignored_fields += count_unknown(typed)
    refused = read_numbers(typed)
    refused = settle(typed, sent_at=sent_at) | refused
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
    if "boards" in item:
        item = {**item, "boards": first_boards(item["boards"])}
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
