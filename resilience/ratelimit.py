"""How often somebody may ask: a sliding window of one minute, shared through Redis when it is there, by process when it is not.

While Redis is away each process counts for itself, so that for this time a limit holds a process and not the server. Redis is asked again
after `REDIS_REST_S`, never waited for longer than `REDIS_TIMEOUT_S`, and not at all while the cache knows that it is away.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import structlog
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from resilience.fallback import redis_trouble

REDIS_TIMEOUT_S = 0.5
REDIS_REST_S = 15.0
CLOCK_STEP_S = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one request may pass, and what the window looks like after it."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    """Seconds until the oldest counted request leaves the window."""


Question = Callable[[MovingWindowRateLimiter, RateLimitItemPerMinute, tuple[str, ...]], Verdict]


class RateLimiter:
    """At most so many hits in any 60 seconds for each name. Safe in threads; requests that are refused are not counted."""

    def __init__(self, redis_url: str = "") -> None:
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_redis(redis_url)) if redis_url else None
        self._shared_again_at = 0.0
        self._offset_s = _clock_offset_s()

    def hit(self, *name: str, per_minute: int) -> Verdict:
        """Count one request of `name` if it may pass."""
        return self._ask(_hit, RateLimitItemPerMinute(per_minute), name)

    def peek(self, *name: str, per_minute: int) -> Verdict:
        """Where `name` stands, without counting anything."""
        return self._ask(_peek, RateLimitItemPerMinute(per_minute), name)

    def _ask(self, question: Question, item: RateLimitItemPerMinute, name: tuple[str, ...]) -> Verdict:
        if self._shared is not None and time.monotonic() >= self._shared_again_at and not redis_trouble():
            try:
                return question(self._shared, item, name)
            except StorageError as error:
                self._shared_again_at = time.monotonic() + REDIS_REST_S
                log.warning("rate_limit_not_shared", error=str(error), again_in_s=REDIS_REST_S)
        self._forget_the_future()
        return question(self._local, item, name)

    def _forget_the_future(self) -> None:
        """Hits counted by a clock that was set back since would fill their window until that time has come. Redis forgets them itself."""
        before, self._offset_s = self._offset_s, _clock_offset_s()
        if self._offset_s < before - CLOCK_STEP_S:
            self._local = MovingWindowRateLimiter(MemoryStorage())


def _clock_offset_s() -> float:
    return time.time() - time.monotonic()


def _redis(url: str) -> RedisStorage:
    return RedisStorage(
        url,
        wrap_exceptions=True,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # passed on to redis-py as it is
    )


def _hit(limiter: MovingWindowRateLimiter, item: RateLimitItemPerMinute, name: tuple[str, ...]) -> Verdict:
    allowed = limiter.hit(item, *name)
    return replace(_peek(limiter, item, name), allowed=allowed)


def _peek(limiter: MovingWindowRateLimiter, item: RateLimitItemPerMinute, name: tuple[str, ...]) -> Verdict:
    reset_at, remaining = limiter.get_window_stats(item, *name)
    reset_s = max(1, math.ceil(reset_at - time.time()))
    return Verdict(allowed=remaining > 0, limit=item.amount, remaining=max(0, remaining), reset_s=reset_s)


@cache
def rate_limiter() -> RateLimiter:
    """The one limiter of this process."""
    return RateLimiter(settings.REDIS_URL)
