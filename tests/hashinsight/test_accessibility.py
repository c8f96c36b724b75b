"""axe-core looks at each page, light and dark, wide and on a phone: nothing of it is a serious hindrance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from miners.models import Miner
from tests.hashinsight.console import logged_in, make_farm
from tests.makers import make_command, make_key
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.once]
SERIOUS = ("serious", "critical")


def addresses(site_pk: int, miner_pk: int) -> list[str]:
    return [
        "",
        f"sites/site/{site_pk}/overview/",
        f"sites/site/{site_pk}/overview/layout/import/",
        f"miners/miner/{miner_pk}/overview/",
        f"miners/miner/{miner_pk}/change/",
        f"commands/minercommand/order/?miners={miner_pk},{miner_pk + 1}",
        "preferences/",
        "telemetry/readings/",
        "miners/miner/",
        "miners/miner/?state=online",
        "miners/miner/export/",
        "sites/site/",
        "sites/collectorkey/",
        "sites/collectorkey/add/",
        "commands/minercommand/",
        "telemetry/collectoruploadlog/",
    ]


def hindrances(page: Page) -> list[str]:
    """Each serious violation with the elements it is about."""
    found: Any = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {' | '.join(node['html'][:160] for node in violation['nodes'][:3])}"
        for violation in found
        if violation["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_no_page_hinders_anybody_seriously(live_web: WebServer, browser_page: Page, theme: Any, width: int) -> None:
    site = make_farm()
    make_key(site)
    make_command(Miner.objects.order_by("pk").first())
    browser_page.emulate_media(color_scheme=theme)
    browser_page.set_viewport_size({"width": width, "height": 900})
    tab = logged_in(browser_page, live_web)
    found = {}
    for address in addresses(site.pk, Miner.objects.order_by("pk").first().pk):
        tab.open(address)
        if wrong := hindrances(browser_page):
            found[address] = wrong
    assert found == {}
