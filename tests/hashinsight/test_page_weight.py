"""What a page costs on a first visit, as the production server sends it; and that the icon font that was cut for it lacks nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from miners.models import Miner
from tests.hashinsight.console import logged_in, make_farm
from tests.makers import make_miners, make_site
from tests.web import ROOT, WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_BYTES = 600_000
ICONS = ROOT / "hashinsight" / "static" / "unfold" / "fonts" / "material-symbols" / "icons.txt"


@pytest.fixture
def production_web(child_environment: dict[str, str], server_directory: Path) -> Iterator[WebServer]:
    """gunicorn with compressed static files, as a farm runs it."""
    environment = {**child_environment, "DEBUG": "false", "SECRET_KEY": "of this test, " * 5, "ALLOWED_HOSTS": "127.0.0.1"}
    environment["HASHINSIGHT_DATA_DIR"] = str(server_directory / "data")
    subprocess.run([sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"], cwd=ROOT, env=environment, check=True)
    with WebServer(server_directory, environment) as web:
        yield web


@pytest.mark.browser
@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_first_visit_of_a_page_costs_little(production_web: WebServer, browser_page: Page) -> None:
    site = make_farm()
    make_miners(make_site(), 200)
    logged_in(browser_page, production_web)
    network = browser_page.context.new_cdp_session(browser_page)
    network.send("Network.enable")
    received: list[int] = []
    network.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    weights = {}
    for address in ("", f"sites/site/{site.pk}/overview/", f"miners/miner/{Miner.objects.first().pk}/overview/", "miners/miner/"):
        network.send("Network.clearBrowserCache")
        received.clear()
        browser_page.goto(f"{production_web.url}/admin/{address}")
        browser_page.wait_for_load_state("networkidle")
        weights[address] = sum(received)
    assert {address: weight for address, weight in weights.items() if not 100_000 < weight <= MOST_BYTES} == {}


@pytest.mark.once
def test_each_icon_of_ours_is_in_the_font() -> None:
    """Run scripts/fonts when this fails."""
    known = set(ICONS.read_text().split())
    in_template = re.compile(r"material-symbols-outlined[^>]*>([a-z0-9_]+)<")
    in_code = re.compile(r"""icon["']?\s*[:=]\s*["']([a-z0-9_]+)["']""")
    shown = set()
    for template in (ROOT / "hashinsight" / "templates").rglob("*.html"):
        shown |= set(in_template.findall(template.read_text()))
    for code in (*(ROOT / "hashinsight").rglob("*.py"), *ROOT.glob("*/admin.py")):
        shown |= set(in_code.findall(code.read_text()))
    assert len(shown) > 20
    assert shown - known == set()
