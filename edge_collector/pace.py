"""How fast uploads may go: the server's own rate limit, its Retry-After, and a wait that grows while it is away."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping

ASSUMED_PER_MINUTE = 60
"""What a server that announces no limit is taken to allow."""


class Backoff:
    """Full jitter: a random part of a wait that doubles with each failure, so that a thousand collectors do not come back at once."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self.failures = 0

    def failed(self) -> float:
        """Seconds to wait now; never less than a tenth of the first wait, so that nothing spins."""
        limit: float = min(self._longest_s, self._first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        return max(self._first_s / 10, random.uniform(0, limit))

    def succeeded(self) -> None:
        self.failures = 0


class Pace:
    """The rate limit of one key, shared by all that upload with it. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._backlog_until = 0.0
        self._reserve = 3
        self.limit: int | None = None
        self.remaining: int | None = None

    def keep_for_live(self, requests: int) -> None:
        """So many requests of a minute the backlog leaves to live readings, but never more than half of what is allowed."""
        self._reserve = max(3, requests)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in what an answer says of the limit."""
        limit, remaining, reset = (_whole(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset"))
        with self._lock:
            self.limit, self.remaining = limit, remaining
            if remaining is None:
                spare = ASSUMED_PER_MINUTE - min(self._reserve, ASSUMED_PER_MINUTE // 2)
                self._backlog_until = time.monotonic() + 60 / spare
            elif remaining <= min(self._reserve, (limit or ASSUMED_PER_MINUTE) // 2):
                self._backlog_until = time.monotonic() + max(1, reset or 1)

    def close_for(self, seconds: float) -> None:
        """Nobody uploads for so long: the server asked for it."""
        with self._lock:
            self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    def wait_of_live(self) -> float:
        """Seconds until a live upload may go out."""
        return max(0.0, self._closed_until - time.monotonic())

    def wait_of_backlog(self) -> float:
        return max(self.wait_of_live(), self._backlog_until - time.monotonic())


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() else None
