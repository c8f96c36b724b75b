"""Circuit breakers: what fails is left alone for a while instead of being waited for each time. Their changes are logged and counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from django.core.cache import cache
from prometheus_client import Counter, Gauge
from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreaker, CircuitBreakerListener, CircuitBreakerStorage

log = structlog.get_logger(__name__)

FAILURES = 5
REST_S = 60
FORGOTTEN_S = 3_600
LEVELS = {STATE_CLOSED: 0, STATE_HALF_OPEN: 1, STATE_OPEN: 2}
STATE = Gauge(
    "circuit_breaker_state",
    "0 closed (it works), 1 half-open (one call tries), 2 open (left alone); the worst of all processes.",
    ["breaker"],
    multiprocess_mode="livemax",
)
CHANGES = Counter("circuit_breaker_changes_total", "Times a breaker came to a state.", ["breaker", "state"])


class Reporter(CircuitBreakerListener):
    """Tells the log when something stops working and when it works again, and Prometheus how often."""

    def failure(self, cb: CircuitBreaker, exc: BaseException) -> None:
        log.warning("call_failed", breaker=cb.name, error_type=str(getattr(exc, "error_type", type(exc).__name__)), error=str(exc)[:300])

    def state_change(self, cb: CircuitBreaker, old_state: object, new_state: object) -> None:
        name, state = str(cb.name), _name(new_state)
        CHANGES.labels(name, state).inc()
        if state == STATE_CLOSED:
            log.info("breaker_closed", breaker=name)
        elif state == STATE_OPEN and _name(old_state) == STATE_CLOSED:
            log.error("breaker_opened", breaker=name, again_in_s=cb.reset_timeout)


class ProcessReporter(Reporter):
    """For a breaker that each process has for itself. The state of a shared one is read where it is kept."""

    def state_change(self, cb: CircuitBreaker, old_state: object, new_state: object) -> None:
        super().state_change(cb, old_state, new_state)
        STATE.labels(str(cb.name)).set(LEVELS[_name(new_state)])


def _name(state: object) -> str:
    return str(getattr(state, "name", STATE_CLOSED))


class SharedStorage(CircuitBreakerStorage):
    """A breaker's state in the cache: what one process found out saves the others the wait."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._key = f"breaker:{name}"

    def _get(self, what: str, default: Any) -> Any:
        return cache.get(f"{self._key}:{what}", default)

    def _set(self, what: str, value: Any) -> None:
        cache.set(f"{self._key}:{what}", value, timeout=FORGOTTEN_S)

    @property
    def state(self) -> str:
        return str(self._get("state", STATE_CLOSED))

    @state.setter
    def state(self, state: str) -> None:
        self._set("state", state)

    @property
    def counter(self) -> int:
        return int(self._get("failures", 0))

    def increment_counter(self) -> None:
        self._set("failures", self.counter + 1)

    def reset_counter(self) -> None:
        self._set("failures", 0)

    @property
    def success_counter(self) -> int:
        return int(self._get("successes", 0))

    def increment_success_counter(self) -> None:
        self._set("successes", self.success_counter + 1)

    def reset_success_counter(self) -> None:
        self._set("successes", 0)

    @property
    def opened_at(self) -> datetime | None:
        """None, so that it is tried at once, for a moment that has not come yet: the clock was set back since."""
        opened_at: datetime | None = self._get("opened_at", None)
        return opened_at if opened_at is None or opened_at <= datetime.now(UTC) else None

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        self._set("opened_at", moment)


def shared_breaker(name: str) -> CircuitBreaker:
    """Five failures in a row open it for a minute; then one call tries. Its calls run one at a time in a process."""
    return CircuitBreaker(
        fail_max=FAILURES,
        reset_timeout=REST_S,
        state_storage=SharedStorage(name),
        listeners=[Reporter()],
        name=name,
        throw_new_error_on_trip=False,
    )
