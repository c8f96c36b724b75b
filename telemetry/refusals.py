"""The log of uploads that were refused as a whole: an agent sends such a batch again and again, and somebody must be able to see it."""

from __future__ import annotations

from datetime import datetime

from sites.models import Site
from telemetry.models import CollectorUploadLog
from telemetry.readings import Upload


def log_refused_upload(site: Site, upload: Upload, *, reason: str, received_at: datetime) -> None:
    CollectorUploadLog.objects.create(
        site=site,
        key_id=upload.key_id,
        upload_time=received_at,
        status=CollectorUploadLog.Status.REFUSED,
        received=upload.received,
        error_count=1,
        errors=[{"index": None, "field": "body", "reason": reason}],
        size_bytes=upload.size_bytes,
        client_address=upload.client_address,
        device_id=upload.device_id,
        zone_id=upload.zone_id,
        mode=upload.mode,
    )
