"""Large answers go out compressed, as the client wants them, and never what a page shows only once."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import brotli
import pytest
from backports import zstd
from django.test import Client

from tests.makers import make_key, make_live, make_miners, make_site, make_superuser
from tests.web import ROOT, WebServer

UNPACK = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}


def ask(web, path, coding, **headers):
    """Status, headers and body as they come over the wire."""
    connection = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(web.url).port, timeout=20)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": coding, **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.fixture
def farm(transactional_db):
    site = make_site("north")
    for miner in make_miners(site, 40):
        make_live(miner)
    return {"X-Collector-Key": make_key(site)[1]}


def test_rows_of_the_api_shrink_to_a_fifth_in_each_coding(farm, live_web):
    path = "/api/collector/live/north"
    _, headers, plain = ask(live_web, path, "identity", **farm)
    assert "Content-Encoding" not in headers

    for coding, unpack in UNPACK.items():
        status, headers, body = ask(live_web, path, coding, **farm)
        assert (status, headers["Content-Encoding"]) == (200, coding)
        assert "accept-encoding" in headers["Vary"].lower()
        assert len(body) < len(plain) / 5
        assert len(json.loads(unpack(body))["miners"]) == 40


def test_prometheus_gets_its_metrics_as_gzip(farm, live_web):
    _, headers, body = ask(live_web, "/metrics", "gzip")

    assert headers["Content-Encoding"] == "gzip"
    assert b'miners_online_total{site_id="north"} 40.0' in gzip.decompress(body)


def test_small_answers_stay_as_they_are(farm, live_web):
    for path in ("/health", "/api/collector/status"):
        assert "Content-Encoding" not in ask(live_web, path, "gzip, br, zstd", **farm)[1]


def test_length_of_a_page_tells_nothing_and_what_answers_a_form_is_not_compressed(db):
    client = Client(headers={"Accept-Encoding": "gzip"})
    client.force_login(make_superuser())
    pages = [client.get("/admin/") for _ in range(4)]
    assert {page["Content-Encoding"] for page in pages} == {"gzip"}
    assert len({len(page.get("X-Noise", "")) for page in pages}) > 1
    shown = client.post("/admin/sites/collectorkey/add/", {"site": make_site().pk, "name": "a collector"})

    assert b"hsc_" in shown.content
    assert "Content-Encoding" not in shown


@pytest.mark.once
def test_static_files_come_with_brotli_or_gzip_where_debug_is_off(server_directory: Path):
    environment = {
        **os.environ,
        "HASHINSIGHT_DATA_DIR": str(server_directory / "data"),
        "DEBUG": "False",
        "SECRET_KEY": "only of this test " * 4,
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    subprocess.run([sys.executable, "manage.py", "collectstatic", "--noinput"], cwd=ROOT, env=environment, check=True, capture_output=True)
    names = json.loads((server_directory / "data" / "static" / "staticfiles.json").read_text())["paths"]
    path = f"/static/{names['hashinsight/console.css']}"
    with WebServer(server_directory, environment) as web:
        sizes = {coding: len(ask(web, path, coding)[2]) for coding in ("identity", "gzip", "br")}
        assert ask(web, path, "br")[1]["Content-Encoding"] == "br"

    assert sizes["br"] < sizes["gzip"] < sizes["identity"]
