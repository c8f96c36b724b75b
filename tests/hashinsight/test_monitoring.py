"""The Prometheus rules and Grafana dashboards in deploy/ speak of metrics that exist, and each alert is in the runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import prometheus_client
import pytest
import yaml
from django.test import Client
from django.utils import timezone

import commands.metrics
import sites.metrics
import telemetry.metrics
import telemetry.poll_metrics
from hashinsight.gauges import collect_gauges
from tests.web import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "hashinsight.rules.yml"
COUNTING = (commands.metrics, sites.metrics, telemetry.metrics, telemetry.poll_metrics)
"""Modules that other processes than the web server have in use; imported, their metrics are registered here."""
LANGUAGE = {"time", "abs", "sum", "by", "rate", "increase", "max", "max_over_time", "histogram_quantile", "up", "job", "le"}


def alerts() -> list[dict[str, str]]:
    return yaml.safe_load(RULES.read_text())["groups"][0]["rules"]


def dashboard_expressions() -> Iterator[str]:
    for path in (DEPLOY / "grafana").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            yield from (target["expr"] for target in panel["targets"])


def names_in(expression: str) -> set[str]:
    """The metric names: words outside braces, brackets and the lists of `by`."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)|\b[\d.e]+\b", " ", expression)
    return set(re.findall(r"[a-z][a-z_:0-9]+", bare)) - LANGUAGE


@pytest.fixture
def known(db, settings) -> set[str]:
    """Every name a scrape can hold."""
    settings.MARKET_DATA = True
    settings.COINGECKO_URL = settings.BLOCKCHAIN_INFO_URL = settings.MEMPOOL_SPACE_URL = "http://127.0.0.1:1"
    assert Client().get("/health").status_code == 200
    assert COUNTING
    names = set()
    for family in [*prometheus_client.REGISTRY.collect(), *collect_gauges(now=timezone.now())]:
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {f"{family.name}{suffix}" for suffix in suffixes}
    return names


def test_rules_and_dashboards_name_metrics_that_exist(known):
    expressions = [alert["expr"] for alert in alerts()] + list(dashboard_expressions())
    assert len(expressions) > 30

    assert {name for expression in expressions for name in names_in(expression)} - known == set()


def test_each_alert_is_in_the_runbook():
    runbook = (ROOT / "docs" / "operations.md").read_text()

    assert [alert["alert"] for alert in alerts() if f"| `{alert['alert']}` |" not in runbook] == []
