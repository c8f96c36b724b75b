"""Answers worth remembering for a while: dear to make, asked for often, and forgotten by whoever changes what they say.

Only a cache that all processes share can be told to forget; without Redis, or while it is away, each answer is made anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.core.cache import cache
from prometheus_client import Counter

from resilience.fallback import redis_trouble

T = TypeVar("T")
STAMP_S = 86_400
READS = Counter(
    "cache_reads_total", "Reads of cached values: hit or miss; stale (shown, and fetched again behind) counts apart.", ["key", "result"]
)


def remembered(key: str, variant: str, make: Callable[[], T], *, family: str, timeout_s: float) -> T:
    """What `make` returned within `timeout_s` for this `variant` of `key`, unless `forget(key)` came after. `family` labels the metric."""
    if not settings.REDIS_URL or redis_trouble():
        return make()
    name, stamp_name = f"{key}:{variant}", _stamp_name(key)
    found = cache.get_many([name, stamp_name])
    stamp = found.get(stamp_name)
    if name in found and found[name][0] == stamp:
        READS.labels(family, "hit").inc()
        kept: T = found[name][1]
        return kept
    READS.labels(family, "miss").inc()
    made = make()
    # With the stamp from before it was made: what was forgotten meanwhile does not count as known.
    cache.set(name, (stamp, made), timeout=timeout_s)
    return made


def forget(*keys: str) -> None:
    """All variants of these keys, for every process."""
    if settings.REDIS_URL:
        stamp = uuid.uuid4().hex
        cache.set_many({_stamp_name(key): stamp for key in keys}, timeout=STAMP_S)


def _stamp_name(key: str) -> str:
    return f"{key}:stamp"
