"""The cache: Redis, and this process's own memory for as long as Redis does not answer.

An operation gets three attempts within `OPERATION_S`. If all fail, Redis is left alone by this process: a thread in the background asks it
every `PROBE_EVERY_S`, and no request waits for it until it has answered. What was written or deleted meanwhile is deleted in Redis before
it is used again: it would otherwise bring back what is out of date, a session that was logged out for one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.utils import timezone
from django_redis.cache import RedisCache
from prometheus_client import Counter
from pybreaker import STATE_CLOSED, CircuitBreaker
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from resilience import failures
from resilience.breakers import ProcessReporter
from resilience.failures import ErrorClass

log = structlog.get_logger(__name__)

ATTEMPTS = 3
SOCKET_TIMEOUT_S = 1.5
OPERATION_S = 5.0
PROBE_EVERY_S = 5.0
LOCAL_ENTRIES = 20_000
REMEMBERED_KEYS = 50_000
_TURNS = 3
"""How often an operation that finds Redis away, and back a moment later, turns to it again."""
PASSING = (RedisConnectionError, RedisTimeoutError, OSError)
"""Worth another attempt; a Redis that answers with an error (no memory left, read-only) says the same the next time."""
CLIENT_OPTIONS = {
    "SOCKET_CONNECT_TIMEOUT": SOCKET_TIMEOUT_S,
    "SOCKET_TIMEOUT": SOCKET_TIMEOUT_S,
    "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},  # redis-py's own would multiply the attempts
}
FALLBACKS = Counter("cache_fallback_total", "Cache operations that this process's memory answered because Redis was away.")


class _Memory(LocMemCache):
    """Takes every key that Redis takes, without a word about memcached."""

    def validate_key(self, key: str) -> None:
        pass


class Link:
    """One Redis as this process sees it, and the memory that stands in for it. Shared by all threads."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        self.shared = RedisCache(location, {**params, "OPTIONS": CLIENT_OPTIONS})
        self.nothing = DummyCache("", {})
        self.local = _Memory(f"instead of {location}", {**params, "OPTIONS": {"MAX_ENTRIES": LOCAL_ENTRIES}})
        self.breaker = CircuitBreaker(name="redis", reset_timeout=PROBE_EVERY_S, listeners=[ProcessReporter()])
        self.away_since: datetime | None = None
        self.reason = ""
        self._changed: set[tuple[str, int | None]] = set()
        self._changed_all = False
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def call(self, name: str, *args: Any, attempts: int, instead: BaseCache, changes: Collection[str] | None = (), **kwargs: Any) -> Any:
        """What Redis says, or, while it is away, what `instead` says. `changes` are the keys that are then out of date in Redis, None for
        all."""
        for _ in range(_TURNS):
            if self._is_up():
                try:
                    return self._attempt(getattr(self.shared, name), *args, attempts=attempts, **kwargs)
                except (RedisError, OSError) as error:
                    self._leave_alone(error)
            if self._remember(changes, kwargs.get("version")):
                break
        FALLBACKS.inc()
        return getattr(instead, name)(*args, **kwargs)

    def _remember(self, changes: Collection[str] | None, version: int | None) -> bool:
        """For when Redis is back; False when it is back by now."""
        if changes is not None and not changes:
            return self.breaker.current_state != STATE_CLOSED
        with self._lock:
            if self.breaker.current_state == STATE_CLOSED:
                return False
            if changes is None:
                self._changed_all = True
            else:
                self._changed.update((key, version) for key in changes)
                self._changed_all = self._changed_all or len(self._changed) > REMEMBERED_KEYS
            return True

    def _is_up(self) -> bool:
        if self.breaker.current_state == STATE_CLOSED:
            return True
        self._watch()
        return False

    def _attempt(self, operation: Callable[..., Any], *args: Any, attempts: int, **kwargs: Any) -> Any:
        last_start = time.monotonic() + OPERATION_S - SOCKET_TIMEOUT_S
        for _ in range(attempts - 1):
            try:
                return operation(*args, **kwargs)
            except PASSING:
                if time.monotonic() > last_start:
                    raise
        return operation(*args, **kwargs)

    def _leave_alone(self, error: Exception) -> None:
        with self._lock:
            if self.breaker.current_state != STATE_CLOSED:
                return  # another thread was faster
            self.away_since, self.reason = timezone.now(), f"{type(error).__name__}: {error}"
            failures.count("redis", ErrorClass.TIMEOUT if isinstance(error, RedisTimeoutError) else ErrorClass.CONNECTION)
            self.local.clear()
            log.warning("redis_away", error=self.reason, hint="each process uses its own memory until it is back")
            self.breaker.open()
        self._watch()

    def _watch(self) -> None:
        with self._lock:
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._wait_for_redis, name="redis-watch", daemon=True)
                self._watcher.start()

    def _wait_for_redis(self) -> None:
        while self.breaker.current_state != STATE_CLOSED:
            time.sleep(PROBE_EVERY_S)
            self.breaker.half_open()
            try:
                self.shared.set("redis-watch", 1, timeout=PROBE_EVERY_S)
                self._forget_changed()
            except (RedisError, OSError) as error:
                self.reason = f"{type(error).__name__}: {error}"
                self.breaker.open()

    def _forget_changed(self) -> None:
        with self._lock:
            if self._changed_all:
                self.shared.clear()
            for version in {version for _key, version in self._changed}:
                self.shared.delete_many([key for key, of in self._changed if of == version], version=version)
            self._changed, self._changed_all = set(), False
            self.breaker.close()
            self.away_since, self.reason = None, ""


_links: dict[str, Link] = {}
_links_lock = threading.Lock()


def _link(location: str, params: dict[str, Any]) -> Link:
    key = f"{location} {params}"
    link = _links.get(key)
    if link is None:
        with _links_lock:
            link = _links.setdefault(key, Link(location, params))
    return link


def _forget_links_after_fork() -> None:
    """A forked child has no watching thread, and perhaps a lock that nobody will give back."""
    global _links_lock
    _links_lock = threading.Lock()
    _links.clear()


os.register_at_fork(after_in_child=_forget_links_after_fork)


def redis_trouble() -> str:
    """Since when and why this process works without its Redis; "" while it has it, or was never given one."""
    for link in list(_links.values()):
        if link.away_since is not None:
            return f"Redis is away since {link.away_since:%Y-%m-%d %H:%M:%S} ({link.reason})"
    return ""


class FallbackCache(BaseCache):
    """Django's face of `Link`. `add` and `incr` are tried once: repeated, they could find their own first attempt."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._location = location
        self._params = params

    def instead_of(self, link: Link) -> BaseCache:
        return link.local

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        link = _link(self._location, self._params)
        return link.call(name, *args, attempts=ATTEMPTS, instead=self.instead_of(link), **kwargs)

    def _change(self, name: str, keys: Collection[str], *args: Any, attempts: int = ATTEMPTS, version: int | None, **kwargs: Any) -> Any:
        link = _link(self._location, self._params)
        return link.call(name, *args, attempts=attempts, instead=self.instead_of(link), changes=keys, version=version, **kwargs)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self._ask("get", key, default, version=version)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("get_many", list(keys), version=version)
        return found

    def has_key(self, key: str, version: int | None = None) -> bool:
        return bool(self._ask("has_key", key, version=version))

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._change("set", [key], key, value, timeout=timeout, version=version)

    def set_many(self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> list[str]:
        return list(self._change("set_many", data, data, timeout=timeout, version=version) or [])

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._change("add", [key], key, value, attempts=1, timeout=timeout, version=version))

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        return int(self._change("incr", [key], key, delta, attempts=1, version=version))

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._change("touch", [key], key, timeout=timeout, version=version))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(self._change("delete", [key], key, version=version))

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        names = list(keys)
        self._change("delete_many", names, names, version=version)

    def clear(self) -> None:
        link = _link(self._location, self._params)
        link.call("clear", attempts=ATTEMPTS, instead=self.instead_of(link), changes=None)


class SharedCache(FallbackCache):
    """Redis or nothing: for sessions, which the database has too. A process's own memory would not hear of a logout in another one."""

    def instead_of(self, link: Link) -> BaseCache:
        return link.nothing
