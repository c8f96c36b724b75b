"""Uploads beside one another, and a database that does not keep up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from django.db import OperationalError, connection

from miners.models import Miner
from telemetry import ingest
from telemetry.busy import BatchSize, DatabaseBusy, busy_when_unavailable
from telemetry.models import CollectorUploadLog, MinerTelemetryHistory, MinerTelemetryLive
from tests.telemetry.farm import NOON, an_upload, make_site, minute, reading, store


def upload_all(uploads):
    """Store each (site, readings) from a thread of its own, all at once."""

    def upload(item):
        site, readings = item
        try:
            return store(site, *readings)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(uploads)) as pool:
        return list(pool.map(upload, uploads, timeout=90))


@pytest.mark.django_db(transaction=True)
def test_uploads_of_one_site_at_the_same_time_lose_nothing_and_wait_for_no_deadlock():
    site = make_site()
    names = [f"m{number:03}" for number in range(60)]
    uploads = []
    for number in range(12):
        order = names if number % 2 else names[::-1]
        uploads.append((site, [reading(name, minute(number), hashrate_ghs=float(number)) for name in order]))
    reports = upload_all(uploads)
    assert sum(report.processed - report.duplicates for report in reports) == 12 * 60
    assert sum(report.inserted for report in reports) == 60
    assert MinerTelemetryHistory.objects.count() == 12 * 60
    assert set(MinerTelemetryLive.objects.values_list("timestamp", "hashrate_ghs")) == {(minute(11), 11.0)}


@pytest.mark.django_db(transaction=True)
def test_the_same_newcomers_in_two_uploads_at_once_are_registered_once():
    site = make_site()
    readings = [reading(f"m{number}") for number in range(50)]
    reports = upload_all([(site, readings), (site, readings[::-1])])
    assert Miner.objects.count() == 50
    assert sorted(report.duplicates for report in reports) == [0, 50]


@pytest.fixture
def small_batches(monkeypatch):
    size = BatchSize(largest=100, smallest=2, slow_s=60)
    monkeypatch.setattr(ingest, "batch_size", size)
    return size


@pytest.mark.django_db
def test_a_large_upload_in_small_batches_is_one_report_and_one_log(small_batches):
    small_batches.current = 3
    site = make_site()
    report = store(site, *[reading(f"m{number}") for number in range(10)], upload=an_upload(10))
    assert (report.processed, report.inserted, report.online, len(report.miner_keys)) == (10, 10, 10, 10)
    assert (CollectorUploadLog.objects.get().processed, MinerTelemetryHistory.objects.count()) == (10, 10)


def test_batches_shrink_while_the_database_is_slow_and_recover():
    size = BatchSize(largest=4000, smallest=500, slow_s=1.0)
    for _ in range(5):
        size.observe(4000, seconds=3.0)
    assert size.current == 500
    for _ in range(20):
        size.observe(500, seconds=0.05)
    assert size.current == 4000


def test_a_batch_that_is_neither_slow_nor_fast_changes_nothing():
    size = BatchSize(largest=4000, smallest=500, slow_s=1.0)
    size.current = 1000
    size.observe(1000, seconds=0.6)
    assert size.current == 1000


def test_a_driver_error_says_that_the_database_is_busy_and_when_to_come_back():
    with pytest.raises(DatabaseBusy, match="canceling statement") as caught, busy_when_unavailable():
        raise OperationalError("canceling statement due to statement timeout\nCONTEXT: ...")
    assert caught.value.retry_after_s == 10


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_upload_that_waits_too_long_for_its_site_is_refused_and_stored_later(small_batches, monkeypatch):
    monkeypatch.setattr("telemetry.storage.postgresql.SITE_LOCK_TIMEOUT_S", 0.2)
    site = make_site()
    store(site, reading(at=minute(0)))
    holder = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None})
    holder.cursor().execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"readings of site {site.pk}"])
    with pytest.raises(DatabaseBusy, match="another upload of the site"):
        store(site, reading(at=minute(1)))
    assert small_batches.current < 100
    holder.close()
    assert store(site, reading(at=minute(1))).duplicates == 0
    assert MinerTelemetryHistory.objects.count() == 2


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_cut_is_replaced_at_the_next_upload():
    site = make_site()
    store(site, reading(at=minute(0)))
    killer = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None})
    killer.autocommit = True
    killer.cursor().execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    killer.close()
    with pytest.raises(DatabaseBusy):
        store(site, reading(at=minute(1)))
    connection.close()
    assert store(site, reading(at=minute(1))).processed == 1
    assert MinerTelemetryHistory.objects.filter(timestamp=NOON).count() == 1
