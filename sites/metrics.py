"""What the collector API counts of its callers."""

from __future__ import annotations

from prometheus_client import Counter

RATE_LIMIT_HITS = Counter("rate_limit_hits_total", "Requests refused by a rate limit.", ["key_prefix"])
"""`key_prefix` is the visible prefix of a key, "staff" for a signed-in person, "unauthenticated" for everybody else."""
