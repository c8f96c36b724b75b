"""Readings packed for the disk, and unpacked into the body of an upload.

On disk a batch is its records, a line of JSON each, deflated. Merged batches are sorted, so that a miner's readings, which differ in a few
digits, lie beside each other: 24 hours of 1,000 miners take half the room that they take in the order of time.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from edge_collector.settings import Server

MOST_UNPACKED_BYTES: Final = 20_000_000
"""Of one upload; servers take 50 MB."""
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """Records with consecutive sequence numbers. Times are Unix seconds, of the oldest and of the newest reading."""

    seq_start: int
    seq_end: int
    first_at: float
    last_at: float
    packed: bytes

    @property
    def records(self) -> int:
        return self.seq_end - self.seq_start + 1

    def lines(self) -> list[bytes]:
        return zlib.decompress(self.packed).split(b"\n")


def make_batch(lines: Sequence[bytes], *, seq_start: int, first_at: float, last_at: float) -> Batch:
    return Batch(seq_start, seq_start + len(lines) - 1, first_at, last_at, zlib.compress(b"\n".join(lines), _LEVEL))


def record_line(record: Mapping[str, Any]) -> bytes:
    """One record as it lies on disk and goes over the wire; ASCII, so that no text in it can break a line."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def merged(batches: Sequence[Batch]) -> Batch:
    """One batch of several that follow each other. A number names no record for good, only its place in a range: the order may change."""
    lines = sorted(line for batch in batches for line in batch.lines())
    first_at, last_at = min(batch.first_at for batch in batches), max(batch.last_at for batch in batches)
    return make_batch(lines, seq_start=min(batch.seq_start for batch in batches), first_at=first_at, last_at=last_at)


def halves(batch: Batch) -> tuple[Batch, Batch]:
    lines = batch.lines()
    middle = len(lines) // 2
    ends = {"first_at": batch.first_at, "last_at": batch.last_at}
    return (
        make_batch(lines[:middle], seq_start=batch.seq_start, **ends),
        make_batch(lines[middle:], seq_start=batch.seq_start + middle, **ends),
    )


def parts(lines: Iterable[bytes], *, most_records: int) -> Iterator[list[bytes]]:
    """Cut into lists that one upload may carry."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and (len(part) >= most_records or size + len(line) > MOST_UNPACKED_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line) + 1
    if part:
        yield part


def upload_body(batch: Batch, server: Server, *, epoch: str) -> bytes:
    """The gzip body of the upload: the envelope, with the records as they are on disk."""
    envelope = {
        "schema": "telemetry_envelope.v1",
        "site_id": server.site_id,
        "zone_id": server.zone_id or None,
        "device_id": server.device_id,
        "sent_at": iso(datetime.now(UTC)),
        "mode": "raw",
        "record_count": batch.records,
        "source_seq_start": batch.seq_start,
        "source_seq_end": batch.seq_end,
        "source_epoch": epoch,
    }
    head = json.dumps(envelope, separators=(",", ":"))[:-1].encode()
    records = zlib.decompress(batch.packed).replace(b"\n", b",")
    return gzip.compress(b"".join((head, b',"records":[', records, b"]}")), _LEVEL)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
