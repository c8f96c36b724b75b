"""Collector keys at the door: which headers carry them, what refuses them, what is noted and what is counted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication

from sites.api import CollectorView, UnknownEndpoint
from sites.authentication import client_address, network_of
from sites.models import CollectorKey
from telemetry.models import CollectorUploadLog, MinerTelemetryLive
from tests.makers import make_key, make_site
from tests.telemetry.collector import UPLOAD, Collector

pytestmark = pytest.mark.django_db
STATUS = "/api/collector/status"


@pytest.fixture
def site():
    return make_site("north")


@pytest.fixture
def secret(site):
    return make_key(site)[1]


def ask(headers, **environ):
    return Client(headers=headers).get(STATUS, **environ)


@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {"X-Collector-Key": key},
        lambda key: {"X-Collector-Key": f" {key} "},
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"bearer  {key}"},
        lambda key: {"Authorization": f"Bearer {key}", "X-Collector-Key": key},
        lambda key: {"Authorization": f"Bearer {key}", "X-Collector-Key": ""},
        lambda key: {"Authorization": "Basic dXNlcjpwYXNz", "X-Collector-Key": key},
    ],
)
def test_key_is_accepted_in_either_header(secret, headers):
    assert ask(headers(secret)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {},
        lambda key: {"X-Collector-Key": ""},
        lambda key: {"Authorization": "Bearer"},
        lambda key: {"Authorization": f"Basic {key}"},
        lambda key: {"Authorization": key},
        lambda key: {"X-Collector-Key": key[:-1]},
        lambda key: {"X-Collector-Key": key.upper()},
        lambda key: {"X-Collector-Key": key[:12]},
        lambda key: {"X-Collector-Key": f"{key} {key}"},
        lambda key: {"X-Collector-Key": "é€"},
        lambda key: {"X-Collector-Key": "\x00"},
        lambda key: {"X-Collector-Key": "k" * 8_000},
    ],
)
def test_anything_else_is_401_with_one_text(secret, headers):
    answer = ask(headers(secret))

    assert answer.status_code == 401
    assert answer.json() == {"success": False, "error": "Missing or invalid collector key."}
    assert answer["WWW-Authenticate"] == "Bearer"


def test_key_is_found_by_one_query_that_loads_its_site(secret, django_assert_num_queries):
    CollectorKey.objects.update(last_used_at=timezone.now())
    with django_assert_num_queries(1):
        Client(headers={"X-Collector-Key": secret}).get("/api/collector/status", REMOTE_ADDR="127.0.0.1", headers={"X-Site-ID": "south"})


def test_site_header_of_another_site_is_403_and_nothing_is_stored(secret):
    answer = Collector(secret).send([{"miner_id": "m1"}], **{"X-Site-ID": "south"})

    assert (answer.status_code, answer.data["success"]) == (403, False)
    assert not MinerTelemetryLive.objects.exists()
    assert not CollectorUploadLog.objects.exists()


@pytest.mark.parametrize("claimed", ["north", " north ", ""])
def test_site_header_of_the_keys_site_is_fine(secret, claimed):
    assert ask({"X-Collector-Key": secret, "X-Site-ID": claimed}).status_code == 200


def test_two_keys_of_one_site_work_side_by_side(site):
    assert [ask({"X-Collector-Key": make_key(site)[1]}).status_code for _ in range(2)] == [200, 200]


def test_key_works_until_it_expires(site):
    secret = make_key(site, expires_at=timezone.now() + timedelta(hours=1))[1]
    assert ask({"X-Collector-Key": secret}).status_code == 200

    CollectorKey.objects.update(expires_at=timezone.now())
    assert ask({"X-Collector-Key": secret}).status_code == 401


def test_use_is_noted_once_a_minute_and_not_at_each_request(secret):
    ask({"X-Collector-Key": secret})
    first = CollectorKey.objects.get().last_used_at
    ask({"X-Collector-Key": secret})
    assert CollectorKey.objects.get().last_used_at == first

    CollectorKey.objects.update(last_used_at=first - timedelta(minutes=1))
    ask({"X-Collector-Key": secret})
    assert CollectorKey.objects.get().last_used_at > first


class Untouchable:
    """A body that must not be read."""

    def read(self, *size):
        raise AssertionError("the body was read before the caller was known")

    readline = read


def test_body_is_not_read_before_the_key_is_accepted(site):
    answer = Client().generic("POST", UPLOAD, b"", "application/json", **{"wsgi.input": Untouchable(), "CONTENT_LENGTH": "100"})

    assert answer.status_code == 401


def test_failed_attempts_of_one_address_are_limited_and_a_good_key_beside_them_is_not(secret, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "failed_authentication": 3}
    bad = {"X-Collector-Key": "hsc_wrong"}
    assert [ask(bad).status_code for _ in range(5)] == [401, 401, 401, 429, 429]

    limited = ask(bad)
    assert limited.json()["error"] == "Rate limit exceeded"
    assert int(limited["Retry-After"]) == limited.json()["retry_after"] >= 1
    assert ask(bad, REMOTE_ADDR="192.0.2.9").status_code == 401
    assert ask({"X-Collector-Key": secret}).status_code == 200


def test_a_forwarded_address_counts_only_as_far_as_our_own_proxies_wrote_it(rf, settings):
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.7, 10.0.0.2"})
    found = {}
    for proxies in (0, 1, 2, 9):
        settings.TRUSTED_PROXIES = proxies
        found[proxies] = client_address(request)

    assert found == {0: "10.0.0.1", 1: "10.0.0.2", 2: "198.51.100.7", 9: "6.6.6.6"}


def test_an_address_that_is_none_is_unknown(rf, settings):
    settings.TRUSTED_PROXIES = 1

    assert client_address(rf.get("/", REMOTE_ADDR="", headers={"X-Forwarded-For": "nonsense"})) is None
    assert client_address(rf.get("/", REMOTE_ADDR="")) is None


def test_ipv6_callers_are_counted_by_their_network():
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2:bbbb::9") == "2001:db8:1:2::/64"
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of(None) == "unknown"


class Faulty(BaseAuthentication):
    """Has a mistake in it."""

    def authenticate(self, request):
        raise LookupError("a mistake")


def test_fault_while_the_caller_is_looked_up_is_answered_in_json(client, monkeypatch):
    monkeypatch.setattr(UnknownEndpoint, "authentication_classes", [Faulty])
    monkeypatch.setattr(UnknownEndpoint, "initial", CollectorView.initial)
    client.raise_request_exception = False
    answer = client.get("/api/nothing")
    assert (answer.status_code, answer.json()) == (500, {"success": False, "error": "Internal error."})
