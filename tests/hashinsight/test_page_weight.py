"""What a page costs on a first visit, as the production server sends it; and that the icon font that was cut for it lacks nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import unfold
from fontTools.ttLib import TTFont

from miners.models import Miner
from tests.hashinsight.console import logged_in, make_farm
from tests.makers import make_miners, make_site
from tests.web import ROOT, WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_BYTES = 600_000
FONT = "static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2"


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
def test_each_icon_that_is_shown_is_in_the_font() -> None:
    """Run scripts/fonts when this fails."""
    font = TTFont(Path(unfold.__file__).parent / FONT)
    letters = {glyph: chr(code) for code, glyph in font.getBestCmap().items()}
    tables = [getattr(table, "ExtSubTable", table) for lookup in font["GSUB"].table.LookupList.Lookup for table in lookup.SubTable]
    ligatures = [(first, ligature) for table in tables for first, found in table.ligatures.items() for ligature in found]
    icons = {"".join(letters.get(glyph, "?") for glyph in (first, *ligature.Component)) for first, ligature in ligatures}
    kept = set((ROOT / "hashinsight" / FONT).with_name("icons.txt").read_text().split())
    shown = set()
    for template in (ROOT / "hashinsight" / "templates").rglob("*.html"):
        shown |= set(re.findall(r"material-symbols-outlined[^>]*>([a-z0-9_]+)<", template.read_text()))
    for code in ("navigation.py", "search.py", "settings.py", "pages/timeline.py"):
        shown |= set(re.findall(r"[\"']([a-z0-9_]+)[\"']", (ROOT / "hashinsight" / code).read_text())) & icons
    for style in (Path(unfold.__file__).parent / "static").rglob("*.css"):
        shown |= set(re.findall(r'content:\s*"([a-z0-9_]+)"', style.read_text())) & icons
    assert len(shown) > 40
    assert shown - kept == set()
