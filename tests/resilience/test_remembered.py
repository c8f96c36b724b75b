"""What is remembered is forgotten by every process as soon as somebody says so; sessions end everywhere at a logout."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.contrib.sessions.backends.cached_db import SessionStore
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import REGISTRY

from miners.matching import ModelMatcher
from resilience import fallback
from resilience.remembered import forget, remembered
from telemetry.ingest import ingest_readings
from telemetry.models import MinerTelemetryLive, SiteSummary, Source
from tests.makers import make_key, make_miner_model, make_reading, make_site, make_superuser
from tests.servers import wait_until


@pytest.fixture
def shared(settings, redis_server, monkeypatch):
    """The product with a Redis of the test's own, as the settings make it."""
    monkeypatch.setattr(fallback, "_links", {})
    monkeypatch.setattr(fallback, "PROBE_EVERY_S", 0.3)
    monkeypatch.setattr(fallback, "CLIENT_OPTIONS", {**fallback.CLIENT_OPTIONS, "SOCKET_CONNECT_TIMEOUT": 0.1, "SOCKET_TIMEOUT": 0.1})
    settings.REDIS_URL = redis_server.url()
    settings.CACHES = {
        "default": {"BACKEND": "resilience.fallback.FallbackCache", "LOCATION": settings.REDIS_URL},
        "sessions": {"BACKEND": "resilience.fallback.SharedCache", "LOCATION": settings.REDIS_URL},
    }
    settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = "django.contrib.sessions.backends.cached_db", "sessions"
    return redis_server


class Answer:
    def __init__(self):
        self.made = 0

    def __call__(self):
        self.made += 1
        return self.made


def ask(answer, variant="1"):
    return remembered("live:7", variant, answer, family="live", timeout_s=60)


def test_answer_is_made_once_for_each_variant_until_it_is_forgotten(shared):
    answer = Answer()
    assert [ask(answer), ask(answer), ask(answer, "2"), ask(answer, "2")] == [1, 1, 2, 2]
    forget("live:7")

    assert [ask(answer), ask(answer, "2"), ask(answer)] == [3, 4, 3]


def test_answer_that_was_forgotten_while_it_was_made_is_not_kept(shared):
    answer = Answer()

    def overtaken():
        forget("live:7")
        return answer()

    ask(overtaken)
    assert ask(answer) == 2


def test_hits_are_counted(shared):
    def hits():
        return REGISTRY.get_sample_value("cache_reads_total", {"key": "live", "result": "hit"}) or 0

    before, answer = hits(), Answer()
    ask(answer)
    ask(answer)

    assert hits() - before == 1


def test_nothing_is_remembered_without_a_cache_that_all_share(shared, settings):
    answer = Answer()
    ask(answer)
    shared.pause()
    cache.get("anything")
    assert [ask(answer), ask(answer)] == [2, 3]
    shared.resume()
    settings.REDIS_URL = ""

    assert ask(answer) == 4


@pytest.mark.django_db(transaction=True)
def test_live_rows_are_remembered_until_the_next_reading(shared):
    site = make_site("north")
    client = Client(headers={"X-Collector-Key": make_key(site)[1]})

    def hashrates():
        with CaptureQueriesContext(connection) as queries:
            rows = client.get("/api/collector/live/north").json()["miners"]
        return [row["hashrate_ghs"] for row in rows], sum("miner_telemetry_live" in query["sql"] for query in queries)

    def store(hashrate):
        ingest_readings(site, [make_reading("m1", hashrate_ghs=hashrate)], source=Source.COLLECTOR, received_at=timezone.now())

    store(90_000.0)
    assert hashrates() == ([90_000.0], 2)
    assert hashrates() == ([90_000.0], 0)
    store(91_000.0)
    assert hashrates() == ([91_000.0], 2)


@pytest.mark.django_db(transaction=True)
def test_totals_of_a_site_are_remembered_for_half_a_minute_or_until_the_next_reading(shared):
    site = make_site("north")
    client = Client(headers={"X-Collector-Key": make_key(site)[1]})

    def totals():
        body = client.get("/api/collector/summary/north").json()
        return body["online"], body["hashrate_ghs"]

    def store(hashrate, at):
        reading = make_reading("m1", hashrate_ghs=hashrate, timestamp=at)
        ingest_readings(site, [reading], source=Source.COLLECTOR, received_at=at)

    now = timezone.now()
    store(90_000.0, now)
    assert totals() == (1, 90_000.0)
    MinerTelemetryLive.objects.update(hashrate_ghs=1.0)
    SiteSummary.objects.all().delete()
    assert totals() == (1, 90_000.0)
    assert 0 < redis.Redis.from_url(shared.url()).ttl(f":1:telemetry:summary:{site.pk}:totals") <= 30
    SiteSummary.objects.all().delete()
    store(91_000.0, now + timedelta(seconds=1))
    assert totals() == (1, 91_000.0)


@pytest.mark.django_db(transaction=True)
def test_catalogue_of_models_is_read_once_an_hour_or_after_a_change_in_the_admin(shared):
    model = make_miner_model("Antminer T99")
    assert ModelMatcher.from_catalogue().match("Antminer T99").pk == model.pk
    with CaptureQueriesContext(connection) as queries:
        assert ModelMatcher.from_catalogue().match("Antminer T99").pk == model.pk
    assert queries.captured_queries == []
    client = Client()
    client.force_login(make_superuser())
    client.post(f"/admin/miners/minermodel/{model.pk}/delete/", {"post": "yes"})

    assert ModelMatcher.from_catalogue().match("Antminer T99") is None


@pytest.mark.django_db(transaction=True)
def test_session_is_in_redis_and_ends_at_the_logout_even_while_redis_is_away(shared):
    user = make_superuser()
    client, copy = Client(), Client()
    client.force_login(user)
    copy.cookies["sessionid"] = client.cookies["sessionid"].value
    store = SessionStore(client.cookies["sessionid"].value)
    assert store._cache.get(store.cache_key)["_auth_user_id"] == str(user.pk)
    shared.pause()
    assert copy.get("/admin/").status_code == 200  # from the database
    client.post("/admin/logout/")

    assert copy.get("/admin/").status_code == 302
    shared.resume()
    wait_until(lambda: fallback.redis_trouble() == "", timeout_s=10, what="Redis is used again")
    assert copy.get("/admin/").status_code == 302
