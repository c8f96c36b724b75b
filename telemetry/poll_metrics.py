"""What the poller counts, for Prometheus. `site_id` is the site's code, as on the wire."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

POLLS = Counter("miner_poll_total", "Miners polled, by outcome: ok or the class of the error.", ["site_id", "status"])
LATENCY = Histogram(
    "miner_poll_latency_seconds",
    "From connect to the last byte of the miner's first reply.",
    ["site_id"],
    buckets=(0.1, 0.5, 1, 2, 5, 10),
)
