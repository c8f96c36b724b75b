from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from resilience.models import JobLease
from telemetry import tasks
from telemetry.ingest import ingest_readings
from telemetry.models import MinerTelemetryHistory, SiteRollup5m, Source
from tests.makers import make_reading, make_site, make_upload_log

pytestmark = pytest.mark.django_db(transaction=True)


def test_roll_up_job_sums_up_what_was_ingested_and_says_so():
    site, now = make_site(), timezone.now()
    ingest_readings(site, [make_reading("m1", timestamp=now)], source=Source.POLLER, received_at=now)
    assert not tasks.roll_up().startswith("0 buckets")
    assert SiteRollup5m.objects.filter(site=site).exists()
    assert JobLease.objects.get(name="roll_up").result.endswith("0 left")


def test_partition_job_makes_each_partition_once():
    tasks.ensure_partitions()
    assert tasks.ensure_partitions() == "0 made"


def test_nightly_job_removes_what_is_over_its_limit():
    site, now = make_site(), timezone.now()
    make_upload_log(site, upload_time=now - timedelta(days=8))
    kept = make_upload_log(site, upload_time=now - timedelta(days=6))
    assert tasks.prune() == "removed 1 of collector_upload_logs"
    assert list(site.upload_logs.all()) == [kept]


def test_nightly_job_with_nothing_to_do_says_so():
    assert tasks.prune() == "removed nothing"
    assert not MinerTelemetryHistory.objects.exists()
