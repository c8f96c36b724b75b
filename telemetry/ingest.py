"""The one door for readings: whatever a poll or a collector says becomes rows here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from msgspec import structs

from miners.models import Miner
from resilience.remembered import forget
from sites.models import Site
from telemetry import storage, summaries
from telemetry.busy import BatchSize, DatabaseBusy, busy_when_unavailable
from telemetry.models import Source
from telemetry.overview import live_key, summary_key
from telemetry.readings import IngestReport, Reading, RecordError, Upload
from telemetry.rollups import FIVE_MINUTES, buckets_of, note_due
from telemetry.storage.base import Batch, Stored
from telemetry.storage.batching import columns_of
from telemetry.upload_log import log_upload

__all__ = ["DatabaseBusy", "ingest_readings"]

AHEAD_LIMIT = timedelta(minutes=5)

log = structlog.get_logger(__name__)
batch_size = BatchSize()


@dataclass(slots=True, kw_only=True)
class _Intake:
    """Readings whose time was judged, each with its position in the upload."""

    site: Site
    source: Source
    received_at: datetime
    zone: str
    readings: list[tuple[int, Reading]] = field(default_factory=list)
    errors: list[RecordError] = field(default_factory=list)


def ingest_readings(
    site: Site, readings: Sequence[Reading], *, source: Source, received_at: datetime, upload: Upload | None = None
) -> IngestReport:
    """Store `readings` of `site`: history once at their own time, live only forward, the upload in its log. Committed when it returns.

    One transaction, unless the database was slow of late: then several smaller ones, the last of which holds the log. Readings that were
    stored before are counted as duplicates. A reading more than five minutes ahead of `received_at` is stored at `received_at` and
    reported: a farm whose collector has a wrong clock stays visible. One older than history is kept is refused and reported, as is one of
    an unknown miner where the site does not register them. Raises `DatabaseBusy` when the database is away or too slow.
    """
    started = time.perf_counter()
    intake = _Intake(site=site, source=source, received_at=received_at, zone=upload.zone_id[:50] if upload else "")
    _judge_times(readings, indexes=_record_indexes(readings, upload), intake=intake)
    report = IngestReport(
        received=upload.received if upload else len(readings), errors=[*(upload.errors if upload else ()), *intake.errors]
    )
    with busy_when_unavailable():
        *parts, last = _parts(intake.readings, batch_size.current)
        for part in parts:
            _store_part(intake, part, report=report)
        with transaction.atomic():
            _store_part(intake, last, report=report)
            report.processing_ms = (time.perf_counter() - started) * 1000
            if upload:
                times = {reading.timestamp for _, reading in intake.readings}
                log_upload(site, upload, upload_time=received_at, times=times, report=report)
    report.processing_ms = (time.perf_counter() - started) * 1000
    if upload:
        _log(site, report)
    return report


def _record_indexes(readings: Sequence[Reading], upload: Upload | None) -> Sequence[int]:
    """The position of each reading in its upload, where the refused records are missing from `readings`."""
    if upload and upload.errors:
        refused = {error.index for error in upload.errors}
        indexes = [index for index in range(upload.received) if index not in refused]
        if len(indexes) == len(readings):
            return indexes
    return range(len(readings))


def _judge_times(readings: Sequence[Reading], *, indexes: Sequence[int], intake: _Intake) -> None:
    latest = intake.received_at + AHEAD_LIMIT
    oldest = intake.received_at - timedelta(days=settings.RETENTION_HISTORY_DAYS)
    for index, reading in zip(indexes, readings, strict=True):
        if oldest <= reading.timestamp <= latest:
            intake.readings.append((index, reading))
        elif reading.timestamp > latest:
            ahead = (reading.timestamp - intake.received_at).total_seconds()
            reason = f"timestamp is {ahead:.0f} s ahead of the server's clock; stored at the time of receipt: set the collector's clock"
            intake.errors.append(RecordError(index, "timestamp", reason))
            intake.readings.append((index, structs.replace(reading, timestamp=intake.received_at)))
        else:
            reason = f"timestamp {reading.timestamp:%Y-%m-%d} is older than the {settings.RETENTION_HISTORY_DAYS} days history is kept"
            intake.errors.append(RecordError(index, "timestamp", reason))


def _parts(readings: list[tuple[int, Reading]], size: int) -> list[list[tuple[int, Reading]]]:
    """At least one part, if an empty one."""
    return [readings[start : start + size] for start in range(0, len(readings), size)] or [[]]


def _store_part(intake: _Intake, part: list[tuple[int, Reading]], *, report: IngestReport) -> None:
    with batch_size.timed(len(part)), busy_when_unavailable():
        try:
            _store(intake, part, report=report)
        except IntegrityError as refusal:
            # A day without a partition. They are made ahead by a job, so a clock jumped or the job stood still.
            if not storage.current().make_room(refusal, (reading.timestamp for _, reading in part)):
                raise
            _store(intake, part, report=report)


@transaction.atomic
def _store(intake: _Intake, part: list[tuple[int, Reading]], *, report: IngestReport) -> None:
    keys = _miner_keys(intake, part)
    known = [reading for _, reading in part if reading.miner_id in keys]
    unique = _unique(known)
    store = storage.current()
    found = columns_of(unique, miner_keys=keys, store=store)
    batch = Batch(site_id=intake.site.pk, source=intake.source, received_at=intake.received_at, columns=found)
    stored = store.store(batch)
    if stored.appended:
        buckets = buckets_of({reading.timestamp for reading in unique})
        note_due(FIVE_MINUTES, intake.site.pk, buckets, due_at=min(buckets))
        summaries.refresh_when_due(intake.site, intake.received_at)
        transaction.on_commit(partial(forget, live_key(intake.site.pk), summary_key(intake.site.pk)))
    if len(known) < len(part):
        report.errors += _unknown_miners(intake, part, keys)
    report.miner_keys |= keys
    _count(report, stored, batch, processed=len(known))


def _unique(readings: Sequence[Reading]) -> Sequence[Reading]:
    """Each (miner, timestamp) once: the last of several wins."""
    if len({reading.miner_id for reading in readings}) == len(readings):
        return readings
    return list({(reading.miner_id, reading.timestamp): reading for reading in readings}.values())


def _miner_keys(intake: _Intake, part: list[tuple[int, Reading]]) -> dict[str, int]:
    """Primary keys of the part's miners, after unknown ones were registered where the site wants that."""
    by_name = {reading.miner_id: reading for _, reading in part}
    keys = storage.current().miner_keys(intake.site.pk, list(by_name))
    unknown = sorted(by_name.keys() - keys.keys())
    if unknown and intake.site.register_unknown_miners:
        _register(intake, [by_name[name] for name in unknown])
        keys |= storage.current().miner_keys(intake.site.pk, unknown)
    return keys


def _register(intake: _Intake, readings: Sequence[Reading]) -> None:
    """Add miners to the inventory, in the order of their names so that two uploads of the same newcomers cannot wait for each other."""
    Miner.objects.bulk_create(
        [
            Miner(site=intake.site, miner_id=reading.miner_id, ip_address=reading.ip_address or "", zone=intake.zone, discovered=True)
            for reading in readings
        ],
        ignore_conflicts=True,
    )
    log.info("miners_registered", site_id=intake.site.code, count=len(readings))


def _unknown_miners(intake: _Intake, part: list[tuple[int, Reading]], keys: dict[str, int]) -> list[RecordError]:
    return [
        RecordError(
            index,
            "miner_id",
            f"{reading.miner_id} is not in the inventory of site {intake.site.code}, which does not register unknown miners",
        )
        for index, reading in part
        if reading.miner_id not in keys
    ]


def _count(report: IngestReport, stored: Stored, batch: Batch, *, processed: int) -> None:
    miners, online = batch.miners, batch.miners_online
    report.processed += processed
    report.duplicates += processed - stored.appended
    report.inserted += stored.live_inserted
    report.updated += miners - stored.live_inserted
    report.online += online
    report.offline += miners - online


def _log(site: Site, report: IngestReport) -> None:
    log.info(
        "telemetry_upload",
        site_id=site.code,
        miner_count=report.processed,
        online=report.online,
        duplicates=report.duplicates,
        errors=len(report.errors),
        processing_ms=round(report.processing_ms, 1),
    )
