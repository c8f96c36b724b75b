"""The collector API of telemetry: uploads in, live values out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from resilience.bodies import BodyRefused
from sites.api import ApiError, CollectorView
from sites.authentication import client_address, key_of
from telemetry.busy import DatabaseBusy
from telemetry.ingest import ingest_readings
from telemetry.metrics import UPLOAD_PROCESSING, UPLOAD_SIZE, UPLOADS
from telemetry.models import Source
from telemetry.readings import IngestReport, Upload
from telemetry.refusals import log_refused_upload
from telemetry.requests import header_text, read_request
from telemetry.upload_schema import describe_upload
from telemetry.uploads import Batch, parse_batch

log = structlog.get_logger(__name__)


class UploadView(CollectorView):
    """Takes a batch of readings. Answered after the commit; a bad record never costs its batch."""

    rate_scope = "upload"

    @describe_upload
    def post(self, request: Request) -> Response:
        """A JSON array of records or an envelope around them, plain or gzip (`Content-Encoding: gzip`, then as application/octet-stream).

        Answered after the commit. A record that breaks a bound is listed under `errors` and the others are stored.
        """
        started = time.perf_counter()
        received_at = timezone.now()
        site = key_of(request).site
        upload = _upload_of(request)
        try:
            body, upload = _read(request, upload)
            batch = parse_batch(body, received_at=received_at, max_records=settings.UPLOAD_MAX_RECORDS)
            _warn_of_other_site(batch, request)
            upload = _completed(upload, batch)
            report = ingest_readings(site, batch.readings, source=Source.COLLECTOR, received_at=received_at, upload=upload)
        except BodyRefused as refused:
            UPLOADS.labels(site_id=site.code, status="refused").inc()
            log_refused_upload(site, upload, reason=str(refused), received_at=received_at)
            raise ApiError(refused.status, str(refused)) from refused
        except DatabaseBusy as busy:
            UPLOADS.labels(site_id=site.code, status="unavailable").inc()
            raise ApiError(503, "The database is not available; try again later.", retry_after=busy.retry_after_s) from busy
        return _answer(report, batch, site_code=site.code, elapsed_ms=(time.perf_counter() - started) * 1000)


def _read(request: Request, upload: Upload) -> tuple[bytes | bytearray, Upload]:
    body, size = read_request(request)
    UPLOAD_SIZE.observe(size)
    return body, replace(upload, size_bytes=size)


def _upload_of(request: Request) -> Upload:
    """What the headers tell of an upload."""
    return Upload(
        key_id=key_of(request).pk,
        client_address=client_address(request),
        size_bytes=0,
        received=0,
        device_id=header_text(request, "X-Device-ID", 100) or header_text(request, "X-Edge-ID", 100),
        zone_id=header_text(request, "X-Zone-ID", 50),
        mode=header_text(request, "X-Upload-Mode", 10),
    )


def _completed(upload: Upload, batch: Batch) -> Upload:
    return replace(
        upload,
        received=batch.received,
        device_id=upload.device_id or batch.device_id,
        zone_id=upload.zone_id or batch.zone_id,
        mode=upload.mode or batch.mode,
        sequence_start=batch.sequence_start,
        sequence_end=batch.sequence_end,
        sequence_epoch=batch.sequence_epoch,
        errors=batch.errors,
    )


def _warn_of_other_site(batch: Batch, request: Request) -> None:
    """The key decides where readings go; an envelope that names another site is a collector set up wrongly."""
    if batch.site_id and batch.site_id != key_of(request).site.code:
        log.warning(
            "envelope_names_other_site", site_id=key_of(request).site.code, claimed=batch.site_id, key_prefix=key_of(request).prefix
        )


def _answer(report: IngestReport, batch: Batch, *, site_code: str, elapsed_ms: float) -> Response:
    errors = [error.as_dict() for error in sorted(report.errors, key=lambda error: error.index)]
    nothing_valid = report.received > 0 and report.processed == 0
    status = "refused" if nothing_valid else "partial" if errors else "stored"
    UPLOADS.labels(site_id=site_code, status=status).inc()
    UPLOAD_PROCESSING.observe(elapsed_ms / 1000)
    if nothing_valid:
        raise ApiError(400, "No record of the batch is valid.", received=report.received, processed=0, errors=errors)
    return Response(upload_answer(report, errors, ignored_fields=batch.ignored_fields, elapsed_ms=elapsed_ms))


def upload_answer(report: IngestReport, errors: list[dict[str, Any]], *, ignored_fields: int, elapsed_ms: float) -> dict[str, Any]:
    return {
        "success": True,
        "status": "ok",
        "received": report.received,
        "processed": report.processed,
        "inserted": report.inserted,
        "updated": report.updated,
        "duplicates": report.duplicates,
        "online": report.online,
        "offline": report.offline,
        "ignored_fields": ignored_fields,
        "errors": errors,
        "data": {
            "processed": report.processed,
            "inserted": report.inserted,
            "updated": report.updated,
            "online": report.online,
            "offline": report.offline,
            "processing_time_ms": round(elapsed_ms, 1),
        },
    }
