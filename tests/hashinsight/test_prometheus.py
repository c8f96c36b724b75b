"""Prometheus itself on what deploy/ gives it: the rules fire when they should, and a scrape of several web workers has the right values."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import requests

from tests.hashinsight.prometheus import DEPLOYED, MISSING, PROGRAM, PROMTOOL, PrometheusServer
from tests.hashinsight.test_monitoring import alerts, dashboard_expressions
from tests.makers import make_key, make_live, make_miners, make_site
from tests.servers import wait_until
from tests.web import ROOT, WebServer

RULE_TESTS = ROOT / "tests" / "hashinsight" / "rules.test.yml"
needs_prometheus = pytest.mark.skipif(not PROGRAM.exists(), reason=f"no {PROGRAM}: {MISSING}")
needs_promtool = pytest.mark.skipif(not PROMTOOL.exists(), reason=f"no {PROMTOOL}: {MISSING}")


def promtool(*arguments: object) -> None:
    done = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60, cwd=RULE_TESTS.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.once
@needs_promtool
def test_promtool_accepts_the_configuration_and_the_rules():
    promtool("check", "config", DEPLOYED / "prometheus.yml")
    promtool("check", "rules", DEPLOYED / "hashinsight.rules.yml")


@pytest.mark.once
@needs_promtool
def test_each_alert_fires_for_its_reason_and_is_quiet_without_it():
    promtool("test", "rules", RULE_TESTS)


@pytest.mark.once
def test_each_alert_has_a_case_in_which_it_fires():
    text = RULE_TESTS.read_text()
    fires = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", text))

    assert {alert["alert"] for alert in alerts()} - fires == set()


@pytest.fixture
def scraped(child_environment, server_directory):
    """Two web workers, and a Prometheus that scrapes them; the key of the collector of the site "north"."""
    site = make_site("north")
    for miner in make_miners(site, 7):
        make_live(miner)
    secret = make_key(site)[1]
    counted = server_directory / "counted"
    counted.mkdir()
    folder = server_directory / "prometheus"
    folder.mkdir()
    environment = {**child_environment, "PROMETHEUS_MULTIPROC_DIR": str(counted), "WEB_CONCURRENCY": "2"}
    with WebServer(server_directory, environment) as web, PrometheusServer(folder, target=f"127.0.0.1:{web.port}") as prometheus:
        yield web, prometheus, secret


@needs_prometheus
def test_real_prometheus_scrapes_several_workers_and_has_the_right_values(scraped):
    web, prometheus, secret = scraped
    upload_all(web, secret, count=12)
    wait_until(lambda: prometheus.value("sum(collector_upload_total)") == 12, timeout_s=30, what="twelve uploads are scraped")

    assert prometheus.value('collector_upload_total{site_id="north", status="stored"}') == 12
    assert prometheus.value("collector_upload_size_bytes_count") == 12
    assert prometheus.value("collector_upload_processing_seconds_count") == 12
    assert prometheus.value('miners_online_total{site_id="north"}') == 8  # seven, and the one that uploads
    assert prometheus.value('up{job="hashinsight"}') == 1
    assert prometheus.value("hashinsight_database_up") == 1
    assert prometheus.value('count({job="hashinsight", pid!=""})') is None
    loaded = {rule["name"]: rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
    assert set(loaded) == {alert["alert"] for alert in alerts()}
    assert set(loaded.values()) <= {"ok", "unknown"}  # unknown: not evaluated yet
    for expression in dashboard_expressions():
        prometheus.ask("query", query=expression.replace("$site", ".*"))


def upload_all(web: WebServer, secret: str, *, count: int) -> None:
    """From several connections at once, so that both workers get some."""

    def upload(number: int) -> int:
        record = {"miner_id": "uploaded", "timestamp": datetime.now(UTC).isoformat(), "hashrate_ghs": 90_000.0 + number, "online": True}
        headers = {"X-Collector-Key": secret, "Content-Encoding": "gzip"}
        body = gzip.compress(json.dumps([record]).encode())
        return requests.post(f"{web.url}/api/collector/upload", data=body, headers=headers, timeout=20).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(upload, range(count))) == {200}
