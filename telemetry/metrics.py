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
UPLOAD_PROCESSING = Histogram(
    "collector_upload_processing_seconds",
    "From the first byte of an upload read to its commit.",
    buckets=[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)
