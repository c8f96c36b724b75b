"""A sliding window that holds under threads, is shared through Redis, and goes on by itself when Redis is away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from resilience import ratelimit
from resilience.ratelimit import RateLimiter


def allowed(limiter, hits, *, name="key-1", per_minute=60):
    with ThreadPoolExecutor(16) as pool:
        return sum(verdict.allowed for verdict in pool.map(lambda _: limiter.hit(name, per_minute=per_minute), range(hits)))


def test_sixteen_threads_get_exactly_the_limit_through():
    assert allowed(RateLimiter(), 320) == 60


def test_each_name_has_a_window_of_its_own():
    limiter = RateLimiter()

    assert (allowed(limiter, 70), allowed(limiter, 70, name="key-2")) == (60, 60)


def test_verdict_counts_down_and_says_when_the_oldest_hit_leaves():
    limiter = RateLimiter()
    verdicts = [limiter.hit("a", per_minute=2) for _ in range(3)]

    assert [(verdict.allowed, verdict.remaining) for verdict in verdicts] == [(True, 1), (True, 0), (False, 0)]
    assert all(58 <= verdict.reset_s <= 60 and verdict.limit == 2 for verdict in verdicts)


def test_looking_counts_nothing():
    limiter = RateLimiter()
    limiter.hit("a", per_minute=2)

    assert [limiter.peek("a", per_minute=2).remaining for _ in range(3)] == [1, 1, 1]


def test_two_processes_share_one_window_through_redis(redis_server):
    first, second = RateLimiter(redis_server.url()), RateLimiter(redis_server.url())

    assert allowed(first, 40) + allowed(second, 40) == 60


def test_limit_still_holds_by_process_when_redis_is_gone(redis_server):
    limiter = RateLimiter(redis_server.url())
    assert limiter.hit("a", per_minute=60).allowed
    redis_server.kill()

    assert allowed(limiter, 320, name="a") == 60


def test_redis_that_accepts_and_never_answers_is_waited_for_once(redis_server):
    limiter = RateLimiter(redis_server.url())
    limiter.hit("a", per_minute=60)
    redis_server.pause()
    started = time.monotonic()

    for _ in range(20):
        assert limiter.hit("a", per_minute=60).allowed

    assert time.monotonic() - started < 3 * ratelimit.REDIS_TIMEOUT_S
    redis_server.resume()


def test_redis_is_asked_again_after_its_rest(redis_server, monkeypatch):
    monkeypatch.setattr(ratelimit, "REDIS_REST_S", 0.0)
    limiter = RateLimiter(redis_server.url())
    redis_server.kill()
    limiter.hit("a", per_minute=60)
    redis_server.start()
    limiter.hit("a", per_minute=60)

    assert RateLimiter(redis_server.url()).peek("a", per_minute=60).remaining == 59


def test_wrong_address_of_redis_costs_no_request():
    assert RateLimiter("redis://127.0.0.1:1/0").hit("a", per_minute=1).allowed


@pytest.mark.parametrize(("interval_s", "batches"), [(30, 19), (60, 29), (300, 59)])
def test_agent_that_replays_a_batch_each_five_minutes_beside_its_live_ones_is_never_limited(interval_s, batches, monkeypatch):
    """An hour of it with the clock turned: `batches` of 1,000 records each interval, and one from the spool each 300 s."""
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    limiter = RateLimiter()
    refused = 0
    for second in range(0, 3_600, 30):
        now = 1_000_000.0 + second
        due = (batches if second % interval_s == 0 else 0) + (1 if second % 300 == 0 else 0)
        refused += sum(not limiter.hit("key", per_minute=60).allowed for _ in range(due))

    assert refused == 0
