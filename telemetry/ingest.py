"""The one door for readings: whatever a poll or a collector says becomes rows here, in one transaction a batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from msgspec import structs

from miners.models import Miner
from sites.models import Site
from telemetry import storage
from telemetry.completion import complete
from telemetry.models import CollectorUploadLog, Source
from telemetry.readings import IngestReport, Reading, RecordError, Upload
from telemetry.storage import columns
from telemetry.storage.base import Batch, Stored
from telemetry.storage.rows import rows_of

AHEAD_LIMIT = timedelta(minutes=5)
LOGGED_ERRORS = 100

log = structlog.get_logger(__name__)


def ingest_readings(
    site: Site, readings: Sequence[Reading], *, source: Source, received_at: datetime, upload: Upload | None = None
) -> IngestReport:
    """Store `readings` of `site`: history once at their own time, live only forward, the upload in its log. Committed when it returns.

    Readings that were stored before are counted as duplicates. A reading more than five minutes ahead of `received_at` is stored at
    `received_at` and reported: a farm whose collector has a wrong clock stays visible. One that is older than history is kept is
    refused and reported, as is one of an unknown miner where the site does not register them.
    """
    started = time.perf_counter()
    report = IngestReport(received=upload.received if upload else len(readings), errors=list(upload.errors) if upload else [])
    accepted = _accepted(readings, received_at=received_at, indexes=_record_indexes(readings, upload), errors=report.errors)
    with transaction.atomic():
        accepted = _of_known_miners(site, accepted, upload=upload, report=report)
        unique = {(reading.miner_id, reading.timestamp): complete(reading) for _, reading in accepted}
        batch = Batch(site_id=site.pk, source=source, received_at=received_at, rows=rows_of(unique.values(), miner_keys=report.miner_keys))
        stored = storage.current().store(batch)
        _count(report, stored, batch, processed=len(accepted))
        report.processing_ms = (time.perf_counter() - started) * 1000
        if upload:
            _log_upload(site, upload, batch, report=report)
    report.processing_ms = (time.perf_counter() - started) * 1000
    log.info(
        "telemetry_ingest",
        site=site.code,
        source=str(source),
        received=report.received,
        processed=report.processed,
        duplicates=report.duplicates,
        errors=len(report.errors),
        processing_ms=round(report.processing_ms, 1),
    )
    return report


def _record_indexes(readings: Sequence[Reading], upload: Upload | None) -> Sequence[int]:
    """The position of each reading in its upload, where the refused records are missing from `readings`."""
    if upload and upload.errors:
        refused = {error.index for error in upload.errors}
        indexes = [index for index in range(upload.received) if index not in refused]
        if len(indexes) == len(readings):
            return indexes
    return range(len(readings))


def _accepted(
    readings: Sequence[Reading], *, received_at: datetime, indexes: Sequence[int], errors: list[RecordError]
) -> list[tuple[int, Reading]]:
    """The readings whose time can be believed, with their indexes."""
    latest = received_at + AHEAD_LIMIT
    oldest = received_at - timedelta(days=settings.RETENTION_HISTORY_DAYS)
    accepted = []
    for index, reading in zip(indexes, readings, strict=True):
        if reading.timestamp > latest:
            ahead = (reading.timestamp - received_at).total_seconds()
            reason = f"timestamp is {ahead:.0f} s ahead of the server's clock; stored at the time of receipt: set the collector's clock"
            errors.append(RecordError(index, "timestamp", reason))
            reading = structs.replace(reading, timestamp=received_at)
        elif reading.timestamp < oldest:
            reason = f"timestamp {reading.timestamp:%Y-%m-%d} is older than the {settings.RETENTION_HISTORY_DAYS} days history is kept"
            errors.append(RecordError(index, "timestamp", reason))
            continue
        accepted.append((index, reading))
    return accepted


def _of_known_miners(
    site: Site, accepted: list[tuple[int, Reading]], *, upload: Upload | None, report: IngestReport
) -> list[tuple[int, Reading]]:
    """The readings of miners the site has, after the unknown ones were registered or reported; fills `report.miner_keys`."""
    by_name = {reading.miner_id: reading for _, reading in accepted}
    keys = storage.current().miner_keys(site.pk, list(by_name))
    unknown = sorted(by_name.keys() - keys.keys())
    if unknown and site.register_unknown_miners:
        zone = upload.zone_id if upload else ""
        _register(site, [by_name[name] for name in unknown], zone=zone)
        keys |= storage.current().miner_keys(site.pk, unknown)
    report.miner_keys = keys
    if len(keys) == len(by_name):
        return accepted
    for index, reading in accepted:
        if reading.miner_id not in keys:
            reason = f"{reading.miner_id} is not in the inventory of site {site.code}, which does not register unknown miners"
            report.errors.append(RecordError(index, "miner_id", reason))
    return [item for item in accepted if item[1].miner_id in keys]


def _register(site: Site, readings: Sequence[Reading], *, zone: str) -> None:
    """Add miners to the inventory, in the order of their names so that two uploads of the same newcomers cannot wait for each other."""
    Miner.objects.bulk_create(
        [
            Miner(site=site, miner_id=reading.miner_id, ip_address=reading.ip_address or "", zone=zone[:50], discovered=True)
            for reading in readings
        ],
        ignore_conflicts=True,
    )
    log.info("miners_registered", site=site.code, count=len(readings))


def _count(report: IngestReport, stored: Stored, batch: Batch, *, processed: int) -> None:
    newest = batch.newest
    report.processed = processed
    report.duplicates = processed - stored.appended
    report.inserted = stored.live_inserted
    report.updated = len(newest) - stored.live_inserted
    report.online = sum(row[columns.ONLINE] for row in newest)
    report.offline = len(newest) - report.online


def _log_upload(site: Site, upload: Upload, batch: Batch, *, report: IngestReport) -> None:
    statuses = CollectorUploadLog.Status
    times = [row[columns.TIMESTAMP] for row in batch.rows]
    CollectorUploadLog.objects.create(
        site=site,
        key_id=upload.key_id,
        upload_time=batch.received_at,
        status=statuses.STORED if not report.errors else statuses.PARTIAL if report.processed else statuses.REFUSED,
        received=report.received,
        processed=report.processed,
        inserted=report.inserted,
        updated=report.updated,
        duplicates=report.duplicates,
        online=report.online,
        offline=report.offline,
        error_count=len(report.errors),
        errors=[error.as_dict() for error in report.errors[:LOGGED_ERRORS]],
        size_bytes=upload.size_bytes,
        processing_ms=report.processing_ms,
        client_address=upload.client_address,
        device_id=upload.device_id[:100],
        zone_id=upload.zone_id[:50],
        mode=upload.mode[:10],
        oldest_reading_at=min(times, default=None),
        newest_reading_at=max(times, default=None),
        sequence_start=upload.sequence_start,
        sequence_end=upload.sequence_end,
    )
