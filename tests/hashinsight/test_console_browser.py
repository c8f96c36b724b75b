"""The console in a real browser, against the real web server."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from miners.models import Miner
from sites.models import CollectorKey, Site, digest_of
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.rollups import roll_up
from tests.hashinsight.console import logged_in
from tests.makers import make_miner, make_miner_model, make_reading, make_site
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

DRAWN = """selector => [...document.querySelectorAll(selector)].map(canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.some(value => value !== 0);
})"""


@pytest.fixture
def site(live_web: WebServer) -> Site:
    """A site of two miners with a reading each ten minutes of the last two hours."""
    site = make_site("north", name="North Valley")
    model = make_miner_model(hashrate_ghs=100_000.0)
    now = timezone.now()
    for name, rack, slot in (("m1", "R1", "1"), ("m2", "R1", "2")):
        make_miner(site, name, model=model, zone="A", rack=rack, slot=slot)
    for minutes in range(120, -1, -10):
        at = now - timedelta(minutes=minutes)
        readings = [make_reading(name, timestamp=at, hashrate_ghs=90_000.0, fan_speeds=[5_000, 5_100]) for name in ("m1", "m2")]
        ingest_readings(site, readings, source=Source.POLLER, received_at=now)
    roll_up(now + timedelta(minutes=1))
    return site


@pytest.fixture
def console(live_web: WebServer, browser_page: Page) -> Page:
    """A tab in which an operator has logged in."""
    return logged_in(browser_page, live_web).page


def wait_for_charts(page: Page) -> None:
    page.wait_for_function("[...document.querySelectorAll('.hi-chart')].every(box => box.dataset.drawn)")


def text_of(page: Page, selector: str) -> str:
    return page.inner_text(selector).replace("\N{NO-BREAK SPACE}", " ")


def test_overview_shows_what_came_through_ingest(live_web: WebServer, site: Site, console: Page) -> None:
    console.goto(f"{live_web.url}/admin/")
    wait_for_charts(console)
    assert "180.0 TH/s" in text_of(console, "#overview-totals")
    assert "North Valley" in text_of(console, "#overview-sites")
    assert console.evaluate(DRAWN, ".hi-plot canvas") == [True]


def test_overview_takes_in_a_new_reading_without_being_loaded_again(live_web: WebServer, site: Site, console: Page) -> None:
    console.clock.install()
    console.goto(f"{live_web.url}/admin/")
    console.evaluate("document.body.dataset.loaded = 'once'")
    ingest_readings(site, [make_reading("m1", hashrate_ghs=50_000.0)], source=Source.POLLER, received_at=timezone.now())
    console.clock.fast_forward(16_000)
    console.wait_for_function("document.querySelector('#overview-totals').innerText.includes('140.0')")
    assert console.evaluate("document.body.dataset.loaded") == "once"


def test_miner_page_draws_its_charts_in_both_themes(live_web: WebServer, site: Site, console: Page) -> None:
    console.goto(f"{live_web.url}/admin/miners/miner/{Miner.objects.first().pk}/overview/")
    wait_for_charts(console)
    console.emulate_media(color_scheme="dark")
    console.reload()
    wait_for_charts(console)
    assert console.evaluate(DRAWN, ".hi-plot canvas") == [True, True, True, True]


def test_chart_goes_to_another_range(live_web: WebServer, site: Site, console: Page) -> None:
    console.goto(f"{live_web.url}/admin/sites/site/{site.pk}/overview/")
    wait_for_charts(console)
    with console.expect_response(re.compile(r"series/\?hours=168")) as answer:
        console.click("[data-hours='168']")
    assert answer.value.status == 200
    assert console.get_attribute("[data-hours='168']", "aria-pressed") == "true"


def test_floor_map_shows_each_miner_in_its_slot_and_opens_it(live_web: WebServer, site: Site, console: Page) -> None:
    ingest_readings(site, [make_reading("m2", online=False, hashrate_ghs=None)], source=Source.POLLER, received_at=timezone.now())
    console.goto(f"{live_web.url}/admin/sites/site/{site.pk}/overview/")
    wait_for_charts(console)
    console.wait_for_selector(".hi-slots a.hi-offline")
    assert console.locator(".hi-slots a").count() == 2
    console.click("[data-mode=percent]")
    console.wait_for_selector("[data-mode=percent][aria-pressed=true]")
    assert "90 % of expected" in console.get_attribute(".hi-slots a.hi-level-1", "title")
    console.click(".hi-slots a.hi-level-1")
    console.wait_for_url(f"**/admin/miners/miner/{Miner.objects.get(miner_id='m1').pk}/overview/")


def test_floor_map_of_5000_miners_is_drawn_within_a_second(live_web: WebServer, site: Site, console: Page) -> None:
    large, now = make_site("large"), timezone.now()
    miners = [
        Miner(site=large, miner_id=f"m{number}", zone=f"Z{number // 1_000}", rack=f"R{number // 40}", slot=str(number % 40 + 1))
        for number in range(5_000)
    ]
    Miner.objects.bulk_create(miners, batch_size=2_000)
    ingest_readings(large, [make_reading(miner.miner_id) for miner in miners], source=Source.POLLER, received_at=now)
    took = []
    for _ in range(3):  # what else the machine does meanwhile says nothing of the map
        console.goto(f"{live_web.url}/admin/sites/site/{large.pk}/overview/")
        console.wait_for_selector("[data-drawn-ms]")
        took.append(int(console.get_attribute("[data-floor]", "data-drawn-ms")))
    assert console.locator(".hi-slots a.hi-online").count() == 5_000
    assert min(took) <= 1_000


def test_key_is_made_and_seen_once(live_web: WebServer, site: Site, console: Page) -> None:
    console.goto(f"{live_web.url}/admin/sites/collectorkey/add/")
    console.select_option("select[name=site]", str(site.pk))
    console.fill("input[name=name]", "container 3")
    console.click("button[name=_save]")
    secret = console.inner_text("#collector-key")
    assert CollectorKey.objects.get().digest == digest_of(secret)
    assert secret not in console.url
    console.click("text=I have copied it")
    assert secret not in console.content()
    console.goto(f"{live_web.url}/admin/sites/collectorkey/{CollectorKey.objects.get().pk}/change/")
    assert secret not in console.content()


def test_command_palette_opens_a_miner(live_web: WebServer, site: Site, console: Page) -> None:
    console.goto(f"{live_web.url}/admin/")
    console.keyboard.press("Control+k")
    console.locator("#search-input-command").press_sequentially("M2")
    console.click("#command-results-list >> text=m2")
    console.wait_for_url(f"**/admin/miners/miner/{Miner.objects.get(miner_id='m2').pk}/overview/")


def test_command_palette_needs_no_mouse_and_opens_what_was_typed_last(live_web: WebServer, site: Site, console: Page) -> None:
    console.goto(f"{live_web.url}/admin/")
    console.keyboard.press("Control+k")
    field = console.locator("#search-input-command")
    field.press_sequentially("nowhere")
    console.wait_for_selector("text=No results matching your query")
    field.press("Enter")
    field.fill("")
    field.press_sequentially("M")
    console.wait_for_selector("#command-results-list >> text=m1")
    field.press_sequentially("2")
    field.press("Enter")
    console.wait_for_url(f"**/admin/miners/miner/{Miner.objects.get(miner_id='m2').pk}/overview/")


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_screen(live_web: WebServer, site: Site, console: Page, width: int) -> None:
    console.set_viewport_size({"width": width, "height": 900})
    miner = Miner.objects.first()
    pages = [
        "",
        f"sites/site/{site.pk}/overview/",
        f"miners/miner/{miner.pk}/overview/",
        "telemetry/readings/",
        "miners/miner/",
        "sites/site/",
    ]
    excess = {}
    for address in pages:
        console.goto(f"{live_web.url}/admin/{address}")
        excess[address] = console.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert excess == dict.fromkeys(pages, 0)
