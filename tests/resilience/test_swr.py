"""Stale while revalidate: readers never wait, one refresher fetches, and the last good value outlives restarts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from resilience import swr
from resilience.models import KeptValue
from tests.servers import wait_until
from tests.web import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
FRESH_S = 60.0


class Upstream:
    """Counts the calls and answers with how many there were; waits for `gate` first."""

    def __init__(self):
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fault = None

    def __call__(self):
        self.calls += 1
        self.gate.wait(10)
        if self.fault:
            raise self.fault
        return self.calls


@pytest.fixture
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.gate.set()
    wait_until(lambda: not swr._in_flight, timeout_s=10, what="refreshers have ended")


def known(value, *, age_s):
    KeptValue.objects.update_or_create(key="price", defaults={"value": value, "fetched_at": timezone.now() - timedelta(seconds=age_s)})
    cache.clear()


def read(upstream, chance=lambda: 1.0):
    return swr.read("price", fetch=upstream, fresh_s=FRESH_S, now=timezone.now(), chance=chance)


def wait_for_refresh(upstream, calls):
    wait_until(lambda: upstream.calls >= calls and not swr._in_flight, timeout_s=10, what=f"{calls} refreshes")


def test_nothing_known_is_said_at_once_and_fetched_behind(upstream):
    assert read(upstream) is None
    wait_for_refresh(upstream, 1)

    assert read(upstream).value == 1
    assert upstream.calls == 1


def test_stale_value_is_returned_while_the_new_one_is_being_fetched(upstream):
    known("old", age_s=FRESH_S + 1)
    upstream.gate.clear()
    started = time.monotonic()

    assert read(upstream).value == "old"
    assert time.monotonic() - started < 1
    upstream.gate.set()
    wait_for_refresh(upstream, 1)
    assert read(upstream).value == 1


def test_two_hundred_threads_on_an_expired_value_make_one_call(upstream):
    known("old", age_s=FRESH_S + 1)
    read_once = threading.Barrier(200)
    upstream.gate.clear()

    def reader(_):
        try:
            read_once.wait(30)
            return read(upstream).value
        finally:
            connection.close()

    with ThreadPoolExecutor(200) as pool:
        values = list(pool.map(reader, range(200)))
    upstream.gate.set()
    wait_for_refresh(upstream, 1)

    assert values == ["old"] * 200
    assert upstream.calls == 1


def test_process_that_finds_another_one_fetching_makes_no_call(upstream):
    known("old", age_s=FRESH_S + 1)
    KeptValue.objects.update(claimed_until=timezone.now() + timedelta(seconds=30))

    assert swr.refresh("price", upstream, seen_at=KeptValue.objects.get().fetched_at) is None
    assert upstream.calls == 0


def test_process_takes_what_another_one_has_just_fetched(upstream):
    known("new", age_s=1)

    assert swr.refresh("price", upstream, seen_at=timezone.now() - timedelta(hours=1)).value == "new"
    assert upstream.calls == 0


def test_claim_of_a_process_that_was_killed_ends(upstream):
    known("old", age_s=FRESH_S + 1)
    KeptValue.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    read(upstream)
    wait_for_refresh(upstream, 1)

    assert read(upstream).value == 1


@pytest.mark.parametrize(("age_s", "chance", "calls"), [(53, 0.0, 0), (57, 0.49, 1), (57, 0.51, 0), (59.9, 0.9, 1)])
def test_in_its_last_tenth_a_value_is_refreshed_early_by_chance(upstream, age_s, chance, calls):
    known("old", age_s=age_s)

    assert read(upstream, chance=lambda: chance).value == "old"
    wait_for_refresh(upstream, calls)
    assert upstream.calls == calls


def test_failed_fetch_keeps_the_last_good_value_and_pauses(upstream):
    known("old", age_s=FRESH_S + 1)
    upstream.fault = ConnectionError("no route")
    for _ in range(3):
        assert read(upstream).value == "old"
        wait_for_refresh(upstream, 1)

    assert upstream.calls == 1


def test_fetch_is_tried_again_after_the_pause(upstream, monkeypatch):
    monkeypatch.setattr(swr, "PAUSE_S", 0.0)
    known("old", age_s=FRESH_S + 1)
    upstream.fault = ConnectionError("no route")
    read(upstream)
    wait_for_refresh(upstream, 1)
    upstream.fault = None
    read(upstream)
    wait_for_refresh(upstream, 2)

    assert read(upstream).value == 2


def test_value_from_the_future_is_shown_and_fetched_again(upstream):
    known("old", age_s=-3600)

    assert read(upstream).value == "old"
    wait_for_refresh(upstream, 1)


def test_last_good_value_is_there_after_a_restart(child_environment, upstream):
    known({"usd": 67_000.5}, age_s=FRESH_S * 1000)
    code = (
        "import django; django.setup()\n"
        "from resilience import swr\n"
        "from django.utils import timezone\n"
        "print(swr.read('price', fetch=dict, fresh_s=1e9, now=timezone.now()).value)\n"
    )
    # Without Redis, so that it is the database that remembered.
    environment = {**child_environment, "DJANGO_SETTINGS_MODULE": "hashinsight.settings", "PATH": os.environ["PATH"], "REDIS_URL": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "{'usd': 67000.5}"
