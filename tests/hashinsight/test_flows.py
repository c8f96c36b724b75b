"""What an operator does in a shift, in a real browser, in both languages. Anything on the browser's console fails the test."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from commands import batches, dispatch, verification
from commands.dispatch import Outcome
from commands.models import CommandBatch, MinerCommand, Verification
from miners.models import Miner
from preferences.models import SavedFilter
from sites.models import CollectorKey, Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from tests.commands.fleet import Farm
from tests.hashinsight.console import Tab, logged_in, make_farm, silent_console
from tests.makers import make_reading, make_site, make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=["en", "zh-hans"])
def tab(request: pytest.FixtureRequest, live_web: WebServer, browser_page: Page) -> Iterator[Tab]:
    with silent_console(browser_page):
        yield logged_in(browser_page, live_web, make_superuser("operator", "correct horse"), language=request.param)


@pytest.fixture
def site(live_web: WebServer) -> Site:
    return make_farm()


def open_floor(tab: Tab, site: Site) -> None:
    tab.open(f"sites/site/{site.pk}/overview/")
    tab.page.wait_for_selector("[data-drawn-ms]")
    tab.page.locator(".hi-floor").scroll_into_view_if_needed()


def cell(tab: Tab, name: str) -> str:
    return f".hi-floor a.hi-cell[href*='/{Miner.objects.get(miner_id=name).pk}/']"


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def around(page: Page, first: str, last: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """From just before the first cell to just behind the last one."""
    top, bottom = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    assert top is not None
    assert bottom is not None
    return (top["x"] - 3, top["y"] - 1), (bottom["x"] + bottom["width"] + 2, bottom["y"] + bottom["height"] + 2)


def test_hot_rack_is_found_on_the_map(tab: Tab, site: Site) -> None:
    open_floor(tab, site)
    tab.page.click("[data-mode=temperature]")
    tab.page.click(".hi-floor-legend button:has(.hi-heat-0)")
    bright = tab.page.locator(".hi-floor-zones a.hi-cell:not(.hi-dim)")
    assert tab.page.locator(".hi-rack:has(a.hi-cell:not(.hi-dim)) h4").all_inner_texts() == ["R2"]
    assert "92 °C" in bright.first.get_attribute("title")
    bright.first.click()
    tab.page.wait_for_url(f"**/miners/miner/{Miner.objects.get(miner_id='m5').pk}/overview/")


def test_rack_is_picked_by_dragging_restarted_with_a_canary_and_seen_verified(tab: Tab, site: Site) -> None:
    Site.objects.update(collection=Site.Collection.COLLECTOR)
    page = tab.page
    open_floor(tab, site)
    drag(page, *around(page, cell(tab, "m5"), cell(tab, "m7")))
    assert page.inner_text("[data-picked]") == "3"
    page.click(".hi-floor-bar button[name=open]")
    page.select_option("select[name=command]", "restart")
    page.fill("input[name=reason]", "too hot")
    page.fill("input[name=canary_size]", "1")
    page.fill("input[name=pause_seconds]", "0")
    page.click("form[data-order] button[type=submit]")
    page.wait_for_selector("#batch-progress")
    batch = CommandBatch.objects.get()
    assert batches.progress_of(batch).held == 2
    carry_out(site)
    page.wait_for_function("document.querySelector('#batch-progress [role=progressbar]').ariaValueNow === '33'")
    batches.advance(batch, now=timezone.now())
    carry_out(site)
    page.wait_for_function("document.querySelector('#batch-progress [role=progressbar]').ariaValueNow === '100'")
    assert set(MinerCommand.objects.values_list("verification", flat=True)) == {Verification.VERIFIED}


def carry_out(site: Site) -> None:
    """As the site's collector does it, and as the telemetry that follows proves it."""
    now = timezone.now()
    for command in dispatch.lease_commands(site, limit=5, now=now, leased_by="collector"):
        dispatch.record_result(command.pk, site=site, outcome=Outcome(status="completed"), actor="collector", now=now)
        reading = make_reading(command.miner.miner_id, timestamp=now + timedelta(seconds=30), uptime_seconds=5)
        ingest_readings(site, [reading], source=Source.COLLECTOR, received_at=now + timedelta(seconds=30))
    verification.verify_due(now + timedelta(seconds=60))


def test_miner_is_dragged_out_of_the_tray_into_a_slot(tab: Tab, site: Site) -> None:
    open_floor(tab, site)
    page = tab.page
    page.click("[data-toggle=layout]")
    page.locator(".hi-tray").scroll_into_view_if_needed()
    start = page.locator(f".hi-tray {cell(tab, 'm8').removeprefix('.hi-floor ')}").bounding_box()
    end = page.locator(".hi-rack:nth-child(2) .hi-vacant").first.bounding_box()
    assert start is not None
    assert end is not None
    drag(page, (start["x"] + 5, start["y"] + 5), (end["x"] + 5, end["y"] + 5))
    page.wait_for_selector(f".hi-rack:nth-child(2) {cell(tab, 'm8').removeprefix('.hi-floor ')}")
    assert Miner.objects.get(miner_id="m8").place == "A / R2 / 4"


def test_layout_is_imported_after_it_was_shown(tab: Tab, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "layout.csv"
    file.write_text("miner_id,zone,rack,slot\nm8,B,R9,1\nm1,B,R9,2\n")
    tab.open(f"sites/site/{site.pk}/overview/layout/import/")
    tab.page.set_input_files("input[type=file]", file)
    tab.page.click("form[enctype] button[type=submit]")
    tab.page.wait_for_selector("td:has-text('B / R9 / 1')")
    assert Miner.objects.get(miner_id="m8").place == ""
    tab.page.click("button[name=apply]")
    tab.page.wait_for_selector(".hi-rack h4:has-text('R9')")
    assert [Miner.objects.get(miner_id=name).place for name in ("m8", "m1")] == ["B / R9 / 1", "B / R9 / 2"]


def test_key_is_made_and_revoked(tab: Tab, site: Site) -> None:
    tab.open("sites/collectorkey/add/")
    tab.page.select_option("select[name=site]", str(site.pk))
    tab.page.fill("input[name=name]", "container 3")
    tab.page.click("button[name=_save]")
    assert tab.page.inner_text("#collector-key").startswith("hsc_")
    tab.open("sites/collectorkey/")
    tab.page.check("input.action-select")
    tab.page.select_option("select[name=action]", "revoke")
    tab.page.click("button[name=index]")
    tab.page.wait_for_load_state()
    assert CollectorKey.objects.get().revoked_at is not None


def test_miner_is_found_with_ctrl_k(tab: Tab, site: Site) -> None:
    tab.open()
    tab.page.keyboard.press("Control+k")
    tab.page.locator("#search-input-command").press_sequentially("SN0003")
    tab.page.click("#command-results-list >> text=m3")
    tab.page.wait_for_url(f"**/miners/miner/{Miner.objects.get(miner_id='m3').pk}/overview/")


def test_list_is_filtered_and_the_filter_kept(tab: Tab, site: Site) -> None:
    tab.open("miners/miner/?hotter=90")
    assert tab.page.locator("#result_list tbody").count() == 4
    tab.page.click(".hi-popover:not(.hi-last) summary")
    tab.page.fill("input[name=name]", "Hot")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector(".hi-chip.hi-chosen:has-text('Hot')")
    tab.open("miners/miner/")
    assert tab.page.locator("#result_list tbody").count() == 8
    tab.page.click(".hi-chip a")
    tab.page.wait_for_url("**/miners/miner/?hotter=90")
    assert SavedFilter.objects.get().user.username == "operator"


def test_columns_are_chosen(tab: Tab, site: Site) -> None:
    tab.open("miners/miner/")
    tab.page.click(".hi-popover.hi-last summary")
    tab.page.check("input[value=serial_number]")
    tab.page.uncheck("input[value=pool]")
    tab.page.click(".hi-popover.hi-last button.hi-primary")
    tab.page.wait_for_selector("td.field-serial_number:has-text('SN0001')")
    assert tab.page.locator("td.field-pool").count() == 0


def test_chart_is_zoomed_and_what_it_shows_downloaded(tab: Tab, site: Site) -> None:
    page = tab.page
    tab.open(f"miners/miner/{Miner.objects.get(miner_id='m1').pk}/overview/")
    page.wait_for_selector("[data-chart=hashrate][data-drawn]")
    whole = page.get_attribute("[data-series]", "data-span")
    over = page.locator("[data-chart=hashrate] .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box
    with page.expect_response(re.compile(r"series/\?start=")):
        drag(page, (box["x"] + box["width"] * 0.3, box["y"] + 60), (box["x"] + box["width"] * 0.8, box["y"] + 60))
    page.wait_for_function("span => document.querySelector('[data-series]').dataset.span !== span", arg=whole)
    with page.expect_download() as download:
        page.click("[data-csv]")
    with Path(download.value.path()).open(encoding="utf-8-sig") as file:
        times = [row["time_utc"] for row in csv.DictReader(file)]
    start, end = (int(part) for part in page.get_attribute("[data-series]", "data-span").split("-"))
    assert 1_800 < end - start < 7_200
    assert len(times) > 5
    page.click("[data-unzoom]")
    page.wait_for_function("span => document.querySelector('[data-series]').dataset.span.split('-')[0] === span.split('-')[0]", arg=whole)


def test_crosshair_goes_over_all_charts_at_once(tab: Tab, site: Site) -> None:
    tab.open(f"miners/miner/{Miner.objects.get(miner_id='m1').pk}/overview/")
    tab.page.wait_for_selector("[data-chart=power][data-drawn]")
    over = tab.page.locator("[data-chart=hashrate] .u-over")
    over.hover(position={"x": 200, "y": 50})
    shown = "[data-chart=power] .u-legend .u-series:nth-child(2) .u-value"
    tab.page.wait_for_function("selector => document.querySelector(selector).textContent.includes('kW')", arg=shown)


def test_miner_is_probed_now(tab: Tab) -> None:
    with Farm("Antminer S19", network="127.0.62") as farm:
        tab.open(f"miners/miner/{farm.miners[0].pk}/overview/")
        tab.page.click("[data-into=probe-answer] button")
        tab.page.wait_for_selector("#probe-answer pre:has-text('STATUS')")


def test_language_is_switched_from_the_menu(tab: Tab) -> None:
    make_site("north", name="North Valley")
    other = {"en": "zh-hans", "zh-hans": "en"}[tab.language]
    tab.open("sites/site/")
    menu = tab.page.locator("[x-on\\:click^=openUserLinks]")
    menu.focus()
    tab.page.keyboard.press("Enter")
    tab.page.click(f"form:has(input[name=language][value={other}]) button")
    tab.page.wait_for_selector(f"html[lang={other}]")
    assert tab.page.url.endswith("/sites/site/")
    assert ("矿场" in tab.text()) == (other == "zh-hans")
