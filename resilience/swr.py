"""Stale while revalidate: a reader gets what is known at once, and one refresher in the background fetches what is new.

The cache holds the value for quick readers; the database holds the last good one over restarts and outages of the cache, and the claim that
makes one refresher of all processes. A refresh that fails is tried again after `PAUSE_S`, whoever asks.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.cache import cache
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from prometheus_client import Counter

from resilience.bulkheads import OUTGOING, BulkheadFull, bulkhead
from resilience.models import KeptValue
from resilience.remembered import READS

log = structlog.get_logger(__name__)

EARLY_SHARE = 0.1
"""In the last part of its time a value is refreshed by chance, rising to certainty, so that not all readers find it expired at once."""
PAUSE_S = 15.0
CLAIM_S = 60.0
"""A refresher that was killed gives way after this."""
CACHE_S = 86_400
REFRESHES = Counter("cache_refresh_total", "Fetches for cached values, by how they ended.", ["key", "result"])

Fetch = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A value as JSON can hold it, and when it was fetched."""

    value: Any
    fetched_at: datetime


def read(key: str, *, fetch: Fetch, fresh_s: float, now: datetime, chance: Callable[[], float] = random.random) -> Kept | None:
    """What is known of `key`, at once and however old; None while nothing was ever fetched. Older than `fresh_s`, it is fetched behind.

    `fetch` returns something JSON can hold, or raises; what it raises is logged and the last good value stays.
    """
    kept = _known(key)
    READS.labels(key, _state(kept, fresh_s=fresh_s, now=now)).inc()
    if kept is None or _is_due(kept, fresh_s=fresh_s, now=now, chance=chance):
        _refresh_behind(key, fetch, seen_at=kept.fetched_at if kept else None)
    return kept


def refresh(key: str, fetch: Fetch, *, seen_at: datetime | None) -> Kept | None:
    """Fetch `key` here and now, unless another process does or has just done it; None if it is being fetched elsewhere."""
    now = timezone.now()
    if not _claim(key, now):
        return None
    row = KeptValue.objects.get(key=key)
    if row.fetched_at is not None and row.fetched_at != seen_at:
        _give_back(key)
        return _cached(key, Kept(row.value, row.fetched_at))
    return _fetched(key, fetch)


def _fetched(key: str, fetch: Fetch) -> Kept:
    ended = "failed"
    try:
        kept = Kept(fetch(), timezone.now())
        ended = "fetched"
    finally:
        REFRESHES.labels(key, ended).inc()
        if ended == "failed":
            _give_back(key, not_before=timezone.now() + timedelta(seconds=PAUSE_S))
    KeptValue.objects.filter(key=key).update(value=kept.value, fetched_at=kept.fetched_at, claimed_until=None)
    return _cached(key, kept)


def _claim(key: str, now: datetime) -> bool:
    until = now + timedelta(seconds=CLAIM_S)
    # A claim far in the future is left over from a clock that was wrong.
    free = KeptValue.objects.filter(Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=until), key=key)
    if free.update(claimed_until=until):
        return True
    if KeptValue.objects.filter(key=key).exists():
        return False
    KeptValue.objects.bulk_create([KeptValue(key=key)], ignore_conflicts=True)
    return free.update(claimed_until=until) == 1


def _give_back(key: str, *, not_before: datetime | None = None) -> None:
    KeptValue.objects.filter(key=key).update(claimed_until=not_before)


def _known(key: str) -> Kept | None:
    kept = cache.get(key)
    if isinstance(kept, Kept):
        return kept
    try:
        row = KeptValue.objects.filter(key=key).exclude(fetched_at=None).first()
    except DatabaseError as error:  # what needs a price only to show it must not fail for the want of it
        log.warning("kept_value_unknown", key=key, error=str(error).strip())
        return None
    return _cached(key, Kept(row.value, row.fetched_at)) if row and row.fetched_at else None


def _cached(key: str, kept: Kept) -> Kept:
    cache.set(key, kept, timeout=CACHE_S)
    return kept


def _state(kept: Kept | None, *, fresh_s: float, now: datetime) -> str:
    if kept is None:
        return "miss"
    return "hit" if 0 <= (now - kept.fetched_at).total_seconds() < fresh_s else "stale"


def _is_due(kept: Kept, *, fresh_s: float, now: datetime, chance: Callable[[], float]) -> bool:
    age_s = (now - kept.fetched_at).total_seconds()
    if not 0 <= age_s < fresh_s:
        return True
    return chance() < (age_s / fresh_s - (1 - EARLY_SHARE)) / EARLY_SHARE


_in_flight: set[str] = set()
_lock = threading.Lock()


def _refresh_behind(key: str, fetch: Fetch, *, seen_at: datetime | None) -> None:
    with _lock:
        if key in _in_flight:
            return
        _in_flight.add(key)
    try:
        future = bulkhead(OUTGOING).submit(refresh, key, fetch, seen_at=seen_at)
    except BulkheadFull as full:
        _in_flight.discard(key)
        log.warning("refresh_postponed", key=key, reason=str(full))
        return
    future.add_done_callback(lambda done: _ended(key, done))


def _ended(key: str, future: Future[Kept | None]) -> None:
    _in_flight.discard(key)
    error = None if future.cancelled() else future.exception()
    if error is not None:
        log.warning("refresh_failed", key=key, error_type=type(error).__name__, error=str(error)[:300])


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _in_flight.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
