"""Circuit breakers: what fails is left alone for a while instead of being waited for each time. Their changes are logged and counted."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge
from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreaker, CircuitBreakerListener

log = structlog.get_logger(__name__)

LEVELS = {STATE_CLOSED: 0, STATE_HALF_OPEN: 1, STATE_OPEN: 2}
STATE = Gauge(
    "circuit_breaker_state",
    "0 closed (it works), 1 half-open (one call tries), 2 open (left alone); the worst of all processes.",
    ["breaker"],
    multiprocess_mode="livemax",
)
CHANGES = Counter("circuit_breaker_changes_total", "Times a breaker came to a state.", ["breaker", "state"])


class Reporter(CircuitBreakerListener):
    """Tells the log when something stops working and when it works again, and Prometheus each change."""

    def failure(self, cb: CircuitBreaker, exc: BaseException) -> None:
        log.warning("call_failed", breaker=cb.name, error_type=type(exc).__name__, error=str(exc)[:300])

    def state_change(self, cb: CircuitBreaker, old_state: object, new_state: object) -> None:
        name, state = str(cb.name), _name(new_state)
        STATE.labels(name).set(LEVELS[state])
        CHANGES.labels(name, state).inc()
        if state == STATE_CLOSED:
            log.info("breaker_closed", breaker=name)
        elif state == STATE_OPEN and _name(old_state) == STATE_CLOSED:
            log.error("breaker_opened", breaker=name, again_in_s=cb.reset_timeout)


def _name(state: object) -> str:
    return str(getattr(state, "name", STATE_CLOSED))
