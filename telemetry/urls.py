"""Uploads, in both generations of the protocol, and what can be read of the telemetry."""

from __future__ import annotations

from sites.api import endpoint
from telemetry.views import UploadView

urlpatterns = [
    *endpoint("collector/upload", UploadView, name="upload"),
    *endpoint("edge/v1/telemetry/ingest", UploadView, name="telemetry-ingest"),
    *endpoint("edge/v1/telemetry/batch", UploadView, name="telemetry-batch"),
]
