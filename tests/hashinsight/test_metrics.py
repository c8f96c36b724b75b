"""`/metrics`: who may read it, what it says of the farm, and that all processes of a machine count together."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from alerts.models import Alert, AlertRule
from commands.models import CommandStatus
from resilience.metric_files import fold_dead_processes
from resilience.models import JobLease
from sites.models import Site
from tests.makers import make_command, make_live, make_miner, make_miners, make_site, make_upload_log
from tests.ports import free_port
from tests.web import WebServer

ROOT = Path(__file__).resolve().parents[2]


def samples(text):
    """Every series with its value, `name{label=value}`."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(client=None, **headers):
    return (client or Client()).get("/metrics", headers=headers)


def value(text, name, **labels):
    return samples(text).get((name, *sorted(labels.items())))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.7", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Via": "1.1 proxy"}, 403),
    ],
)
def test_without_a_token_only_this_machine_reads_and_a_proxy_on_it_does_not(address, headers, status):
    assert Client(REMOTE_ADDR=address).get("/metrics", headers=headers).status_code == status


@pytest.mark.django_db
def test_trusted_proxy_is_believed_about_who_asks(settings):
    settings.TRUSTED_PROXIES = 1

    assert scrape(**{"X-Forwarded-For": "203.0.113.9"}).status_code == 403
    assert scrape(**{"X-Forwarded-For": "127.0.0.1"}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("given", "status"), [("Bearer right", 200), ("Bearer wrong", 401), ("right", 401), ("Bearer é", 401), ("", 401)])
def test_token_is_asked_of_everybody_once_it_is_set(settings, given, status):
    settings.METRICS_TOKEN = "right"
    answer = Client(REMOTE_ADDR="10.0.0.7").get("/metrics", headers={"Authorization": given})

    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer) is (status == 401)


@pytest.mark.django_db
@pytest.mark.parametrize(("host", "status"), [("10.1.2.3:8000", 200), ("[::1]:8000", 200), ("evil.example", 400)])
def test_prometheus_asks_by_address_and_no_foreign_name_gets_through(settings, host, status):
    settings.ALLOWED_HOSTS = ["farm.example"]

    assert scrape(Host=host).status_code == status


@pytest.mark.django_db
def test_sites_are_measured_as_the_console_shows_them():
    site = make_site("north")
    make_live(make_miner(site), hashrate_ghs=90_000.0, power_consumption=3_000.0)
    make_live(make_miner(site), hashrate_ghs=100_000.0, power_consumption=3_100.0)
    make_live(make_miner(site), online=False)
    make_miner(site)
    text = scrape().content.decode()

    assert value(text, "miners_online_total", site_id="north") == 2
    assert value(text, "site_miners", site_id="north", state="offline") == 1
    assert value(text, "site_miners", site_id="north", state="never") == 1
    assert value(text, "site_hashrate_ghs", site_id="north") == 190_000
    assert value(text, "site_power_watts", site_id="north") == 6_100
    assert abs(value(text, "site_newest_reading_timestamp_seconds", site_id="north") - timezone.now().timestamp()) < 60


@pytest.mark.django_db
def test_what_no_miner_reports_has_no_series_instead_of_zero():
    make_miner(make_site("north"))
    text = scrape().content.decode()

    assert value(text, "miners_online_total", site_id="north") == 0
    assert value(text, "site_hashrate_ghs", site_id="north") is None
    assert value(text, "collector_last_upload_timestamp_seconds", site_id="north") is None


@pytest.mark.django_db
def test_jobs_commands_and_uploads_are_told_of():
    now = timezone.now()
    site = make_site("fjord", collection=Site.Collection.COLLECTOR)
    make_upload_log(site, upload_time=now - timedelta(minutes=9))
    make_upload_log(site, upload_time=now)
    miner = make_miner(site)
    make_command(miner, status=CommandStatus.PENDING)
    make_command(miner, status=CommandStatus.COMPLETED)
    JobLease.objects.create(name="poll:fjord", succeeded_at=now, duration_ms=1500, error="broke", dropped=3)
    text = scrape().content.decode()

    assert value(text, "collector_last_upload_timestamp_seconds", site_id="fjord") == pytest.approx(now.timestamp())
    assert value(text, "miner_commands_open", site_id="fjord", status="pending") == 1
    assert value(text, "job_last_success_timestamp_seconds", job="poll:fjord") == pytest.approx(now.timestamp())
    assert (value(text, "job_failed", job="poll:fjord"), value(text, "job_duration_seconds", job="poll:fjord")) == (1, 1.5)
    assert value(text, "task_queue_depth") == 0


@pytest.mark.django_db
def test_open_alerts_are_counted_by_site_and_severity():
    site, now = make_site("north"), timezone.now()
    rule = AlertRule.objects.create(slug="for-a-test", kind="disk_low")
    common = {"rule": rule, "scope": "site", "opened_at": now, "changed_at": now, "seen_at": now}
    Alert.objects.create(site=site, severity="critical", scope_key="a", **common)
    Alert.objects.create(site=site, severity="critical", scope_key="b", state="acknowledged", **common)
    Alert.objects.create(site=site, severity="warning", scope_key="c", resolved_at=now, **common)
    Alert.objects.create(site=None, severity="info", scope_key="d", **common)
    text = scrape().content.decode()

    assert value(text, "alerts_open", site_id="north", severity="critical") == 2
    assert value(text, "alerts_open", site_id="north", severity="warning") == 0
    assert value(text, "alerts_open", site_id="", severity="info") == 1


def series_of_north():
    return {series for series in samples(scrape().content.decode()) if ("site_id", "north") in series}


@pytest.mark.django_db
def test_series_grow_with_sites_and_not_with_miners():
    site = make_site("north")
    make_live(make_miner(site))
    few = series_of_north()
    for miner in make_miners(site, 50):
        make_live(miner)

    assert series_of_north() == few


@pytest.mark.django_db(transaction=True)
def test_database_that_is_away_leaves_the_counters_and_says_so(monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nonexistent/nowhere")
    try:
        answer = scrape()
    finally:
        connection.close()
    text = answer.content.decode()

    assert (answer.status_code, value(text, "hashinsight_database_up")) == (200, 0)
    assert "miners_online_total" not in text
    assert "django_http_requests_before_middlewares_total" in text


@pytest.fixture
def metrics_directory(server_directory):
    directory = server_directory / "metrics"
    directory.mkdir()
    return directory


def test_two_web_workers_and_a_process_that_polls_count_together(child_environment, server_directory, metrics_directory):
    site = make_site("north")
    make_live(make_miner(site, ip_address="127.0.0.1", port=free_port()))
    environment = {**child_environment, "PROMETHEUS_MULTIPROC_DIR": str(metrics_directory), "WEB_CONCURRENCY": "2"}
    poll = [sys.executable, "manage.py", "poll_miners", "--site", "north"]
    subprocess.run(poll, cwd=ROOT, env={**environment, "HASHINSIGHT_POLL_ATTEMPTS": "1"}, check=False, capture_output=True, timeout=60)
    with WebServer(server_directory, environment) as web:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: fetch(f"{web.url}/"), range(40)))
        text = fetch(f"{web.url}/metrics")

    assert value(text, "miner_poll_total", site_id="north", status="connection") == 1
    assert value(text, "django_http_requests_total_by_method_total", method="GET") >= 40
    assert [key for key in samples(text) if key[0] == "miners_online_total"] == [("miners_online_total", ("site_id", "north"))]
    assert not [key for key in samples(text) if ("pid" in dict(key[1:]))]


def fetch(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


COUNT = """
from prometheus_client import Counter, Gauge, Histogram
Counter("tries", "x", ["site_id"]).labels("north").inc(2)
Histogram("sizes", "x", buckets=(1, 10)).observe(5)
Gauge("busy", "x", multiprocess_mode="livesum").set(7)
"""


def test_what_ended_processes_counted_is_kept_in_few_files(metrics_directory):
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics_directory)}
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(metrics_directory))
    for _ in range(2):
        for _ in range(8):
            subprocess.run([sys.executable, "-c", COUNT], env=environment, check=True, timeout=60)
        fold_dead_processes(metrics_directory)

    assert registry.get_sample_value("tries_total", {"site_id": "north"}) == 32
    assert registry.get_sample_value("sizes_bucket", {"le": "10.0"}) == 16
    assert registry.get_sample_value("sizes_count") == 16
    assert registry.get_sample_value("busy") is None
    assert sorted(path.name for path in metrics_directory.glob("*.db")) == ["counter_ended.db", "histogram_ended.db"]
