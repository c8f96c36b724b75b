"""What is kept of one collector upload."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sites.models import Site
from telemetry.models import CollectorUploadLog
from telemetry.readings import IngestReport, Upload

LOGGED_ERRORS = 100


def log_upload(site: Site, upload: Upload, *, upload_time: datetime, times: Collection[datetime], report: IngestReport) -> None:
    """Write the log row of `upload`, whose accepted readings were taken at `times`."""
    statuses = CollectorUploadLog.Status
    CollectorUploadLog.objects.create(
        site=site,
        key_id=upload.key_id,
        upload_time=upload_time,
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
        sequence_epoch=upload.sequence_epoch[:64],
        sequence_due=upload.sequence_start is not None and upload.sequence_end is not None,
    )
