"""The status page and /metrics of a running collector."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cgminer.simulator import MinerSpec, SimulatedFleet
from edge_collector.agent import Agent
from edge_collector.status import PORT_FILE, StatusPage
from tests.edge_collector.makers import make_config
from tests.edge_collector.odd_server import OddServer
from tests.ports import free_port


@pytest.fixture
def agent(tmp_path):
    specs = [MinerSpec(miner_id="m<1>", host="127.0.75.1", port=free_port())]
    with OddServer() as server, SimulatedFleet(specs):
        agent = Agent(make_config(tmp_path, url=server.url, specs=specs, server={"device_id": "pi<1>"}))
        agent.once(within_s=10)
        server.always = "502"
        agent.round()
        agent.uplink.drain(within_s=0.3)
        yield agent
        agent.close()


@pytest.fixture
def page(agent):
    page = StatusPage(agent.config.status, agent.state, folder=agent.config.data)
    yield page
    page.close()


def fetch(page, path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{page.port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return response.read().decode()


def test_metrics_are_what_prometheus_reads(page):
    families = {family.name: family for family in text_string_to_metric_families(fetch(page, "/metrics"))}
    values = {name: family.samples[0].value for name, family in families.items()}
    assert values["edge_collector_miners_online"] == 1
    assert values["edge_collector_records_sent"] == 1
    assert values["edge_collector_spool_records"] == 1
    assert values["edge_collector_rounds"] == 2
    assert {sample.labels["result"] for sample in families["edge_collector_uploads"].samples} == {"done", "failed"}
    assert all(family.documentation for family in families.values())


def test_page_says_what_is_wrong_in_words(page):
    text = fetch(page, "/")
    assert "pi&lt;1&gt;, collector of north" in text
    assert "1 of 1 answered in the last round" in text
    assert "answered 502" in text
    assert "1 records" in text


def test_json_holds_no_secret(page, agent):
    text = fetch(page, "/status.json")
    assert json.loads(text)["spool_records"] == 1
    assert agent.keys.current not in text + fetch(page, "/") + fetch(page, "/metrics")


@pytest.mark.parametrize(("path", "headers", "status"), [("/", {"Host": "evil.example:80"}, 403), ("/etc/passwd", {}, 404)])
def test_others_are_turned_away(page, path, headers, status):
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(page, path, **headers)
    with caught.value as refused:
        assert refused.code == status


def test_port_is_written_down_for_the_command_line(page, agent):
    assert int((agent.config.data / PORT_FILE).read_text()) == page.port
