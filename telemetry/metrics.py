"""What is counted of uploads."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

UPLOADS = Counter("collector_upload_total", "Uploads by what became of them.", ["site_id", "status"])
"""`site_id` is the site's code; `status` is stored, partial, refused or unavailable."""
UPLOAD_SIZE = Histogram(
    "collector_upload_size_bytes",
    "Size of an upload on the wire.",
    buckets=[1_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000],
)
