"""The cache goes on from this process's memory when Redis is gone or hangs, says so, and goes back by itself."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from resilience import fallback, ratelimit
from resilience.fallback import FallbackCache, redis_trouble
from resilience.ratelimit import RateLimiter
from tests.makers import make_superuser
from tests.ports import free_port
from tests.servers import wait_until

BACK_WITHIN_S = 10.0


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch):
    """A probe each 0.3 s instead of each 5, and no link of another test."""
    monkeypatch.setattr(fallback, "PROBE_EVERY_S", 0.3)
    monkeypatch.setattr(fallback, "_links", {})


@pytest.fixture
def short_wait(monkeypatch):
    """For tests of what follows: a Redis that hangs is found out in 0.3 s instead of in 4.5."""
    monkeypatch.setattr(fallback, "CLIENT_OPTIONS", {**fallback.CLIENT_OPTIONS, "SOCKET_CONNECT_TIMEOUT": 0.1, "SOCKET_TIMEOUT": 0.1})


@pytest.fixture
def cache(redis_server):
    return FallbackCache(redis_server.url(), {})


def another_process(redis_server, monkeypatch):
    """The same Redis as a process sees it that never found it away."""
    monkeypatch.setattr(fallback, "_links", {})
    return FallbackCache(redis_server.url(), {})


def seconds_of(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


def is_quick(seconds):
    """50 ms for nearly all; a busy machine may hold one of them up, but none for as long as an attempt at Redis."""
    return sorted(seconds)[-3] < 0.05 and max(seconds) < 1


def wait_until_back():
    wait_until(lambda: redis_trouble() == "", timeout_s=BACK_WITHIN_S, what="Redis is used again")


def test_everything_a_cache_does_goes_through_redis(cache, redis_server, monkeypatch):
    cache.set("a", {"of": [1, None]}, timeout=60)
    cache.set_many({"b": 1, "c": 2})
    assert cache.add("a", 0) is False
    assert cache.add("d", 4) is True
    assert cache.incr("b", 5) == 6
    assert cache.touch("a", 30) is True
    assert cache.delete("c") is True
    cache.delete_many(["d"])
    other = another_process(redis_server, monkeypatch)

    assert other.get_many(["a", "b", "c", "d"]) == {"a": {"of": [1, None]}, "b": 6}
    assert other.has_key("a")
    assert other.get("nothing at all", "default") == "default"
    with pytest.raises(ValueError, match="nothing"):
        other.incr("nothing")
    other.clear()
    assert cache.get("a") is None


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_redis_that_is_away_costs_one_request_and_no_other(cache, redis_server, fault):
    cache.set("a", 1)
    getattr(redis_server, fault)()

    first = seconds_of(lambda: cache.set("a", 2))
    later = [seconds_of(lambda: (cache.set("b", 3), cache.get("b"))) for _ in range(50)]

    assert first < fallback.OPERATION_S
    assert is_quick(later)
    assert (cache.get("a"), cache.get("b")) == (2, 3)
    assert redis_trouble().startswith("Redis is away since")


def test_server_that_accepts_and_never_answers_is_tried_three_times_within_five_seconds():
    with socket.create_server(("127.0.0.1", 0)) as server:
        cache = FallbackCache(f"redis://127.0.0.1:{server.getsockname()[1]}/0", {})
        assert seconds_of(lambda: cache.get("a")) < fallback.OPERATION_S
        assert waiting_at(server) == fallback.ATTEMPTS


def waiting_at(server):
    """How many connections nobody has accepted yet."""
    server.settimeout(0)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_redis_that_is_back_is_used_again_by_itself(short_wait, cache, redis_server, monkeypatch, fault):
    cache.set("a", 1)
    getattr(redis_server, fault)()
    assert cache.get("a") is None  # not in this process's memory
    redis_server.start() if fault == "kill" else redis_server.resume()
    wait_until_back()
    cache.set("b", 2)

    assert another_process(redis_server, monkeypatch).get("b") == 2


def test_what_was_deleted_or_changed_meanwhile_does_not_come_back(short_wait, cache, redis_server):
    cache.set_many({"logged-out": 1, "changed": 1, "untouched": 1})
    redis_server.pause()
    cache.delete("logged-out")
    cache.set("changed", 2)
    redis_server.resume()
    wait_until_back()

    assert cache.get_many(["logged-out", "changed", "untouched"]) == {"untouched": 1}


def test_cleared_meanwhile_is_cleared_in_redis_too(short_wait, cache, redis_server):
    cache.set("a", 1)
    redis_server.pause()
    cache.clear()
    redis_server.resume()
    wait_until_back()

    assert cache.get("a") is None


def test_memory_of_one_outage_is_not_used_in_the_next(short_wait, cache, redis_server):
    redis_server.pause()
    cache.set("a", "old")
    redis_server.resume()
    wait_until_back()
    redis_server.pause()

    assert cache.get("a") is None
    redis_server.resume()


def test_threads_share_what_one_of_them_found_out(cache, redis_server):
    redis_server.kill()
    cache.get("a")
    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda _: seconds_of(lambda: FallbackCache(redis_server.url(), {}).get("a")), range(40)))

    assert is_quick(took)


def test_redis_without_memory_left_is_done_without(redis_server):
    cache = FallbackCache(redis_server.url(), {})
    client = fallback._link(redis_server.url(), {}).shared.client.get_client()
    client.config_set("maxmemory", "1")
    cache.set("a", "kept here")

    assert cache.get("a") == "kept here"
    assert "OutOfMemory" in redis_trouble()
    client.config_set("maxmemory", "0")
    wait_until_back()


@pytest.mark.django_db
def test_readiness_is_degraded_and_not_unavailable_without_redis(settings):
    settings.CACHES = {
        **settings.CACHES,
        "default": {"BACKEND": "resilience.fallback.FallbackCache", "LOCATION": f"redis://127.0.0.1:{free_port()}/0"},
    }
    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["cache"].startswith("degraded: Redis is away since")


@pytest.mark.django_db
def test_overview_says_that_redis_is_away(settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {**settings.CACHES, "default": {"BACKEND": "resilience.fallback.FallbackCache", "LOCATION": settings.REDIS_URL}}
    client = Client()
    client.force_login(make_superuser())
    assert "away: each process uses its own memory" not in client.get("/admin/").content.decode()
    FallbackCache(settings.REDIS_URL, {}).get("a")

    assert "away: each process uses its own memory" in client.get("/admin/").content.decode()


def test_rate_limits_do_not_wait_for_a_redis_that_the_cache_found_away(short_wait, cache, redis_server, monkeypatch):
    monkeypatch.setattr(ratelimit, "REDIS_REST_S", 0.0)
    limiter = RateLimiter(redis_server.url())
    limiter.hit("a", per_minute=60)
    redis_server.pause()
    cache.get("a")
    took = [seconds_of(lambda: limiter.hit("a", per_minute=60)) for _ in range(20)]

    assert is_quick(took)
    redis_server.resume()
