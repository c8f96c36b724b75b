"""A farm for the browser's tests, and an operator's tab on it in either language."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.readings import Board, Pool, Reading
from telemetry.rollups import roll_up
from tests.makers import make_miner, make_miner_model, make_reading, make_site, make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

POOL = "stratum+tcp://pool.example:3333"


def make_farm(*, miners: int = 8, hours: int = 2, rack_of: int = 4) -> Site:
    """North Valley: racks of four, a reading each five minutes; the second rack is hot and the last miner stands nowhere."""
    site = make_site("north", name="North Valley", timezone="America/Denver", power_price_kwh="0.05")
    model = make_miner_model("Antminer S19", hashrate_ghs=100_000.0, temperature_max=90)
    now = timezone.now()
    for number in range(miners):
        place = {"zone": "A", "rack": f"R{number // rack_of + 1}", "slot": str(number % rack_of + 1)} if number < miners - 1 else {}
        make_miner(site, f"m{number + 1}", model=model, serial_number=f"SN{number + 1:04}", **place)
    for minutes in range(hours * 60, -1, -5):
        ingest_readings(
            site,
            [_reading(number, rack_of, now - timedelta(minutes=minutes)) for number in range(miners)],
            source=Source.POLLER,
            received_at=now,
        )
    roll_up(now + timedelta(minutes=1))
    return site


def _reading(number: int, rack_of: int, at: datetime) -> Reading:
    hot = number // rack_of == 1
    return make_reading(
        f"m{number + 1}",
        timestamp=at,
        hashrate_ghs=90_000.0,
        temperature_max=92.0 if hot else 68.0,
        temperature_avg=60.0,
        boards=[Board(id=0, hashrate=90_000.0, temp=68.0, chips_ok=76, chips_total=76)],
        pools=[Pool(url=POOL, user=f"farm.m{number + 1}", status="alive", active=True)],
        pool_url=POOL,
        worker_name=f"farm.m{number + 1}",
        fan_speeds=[5_000, 5_100],
        firmware_version="2026.03.1",
    )


@dataclass
class Tab:
    """A browser's tab with somebody logged in."""

    page: Page
    url: str
    language: str

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.url}/admin/{path}")

    def text(self, selector: str = "body") -> str:
        return self.page.inner_text(selector).replace("\N{NO-BREAK SPACE}", " ")

    def in_words(self, english: str, chinese: str) -> str:
        return english if self.language == "en" else chinese


def logged_in(page: Page, web: WebServer, user: User | None = None, *, language: str = "en") -> Tab:
    """With the cookies of somebody who is logged in; that the login page gives them is for the tests of people."""
    client = Client()
    client.force_login(user or make_superuser())
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    cookies = {"django_language": language, settings.SESSION_COOKIE_NAME: session}
    page.context.add_cookies([{"name": name, "value": value, "url": web.url} for name, value in cookies.items()])
    page.goto(f"{web.url}/admin/")
    return Tab(page, web.url, language)


@contextmanager
def silent_console(page: Page) -> Iterator[None]:
    """Any error or warning on the browser's console, a violated content policy among them, fails the test."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    yield
    assert complaints == []


def export(client: Client, address: str, kind: str = "csv", columns: tuple[str, ...] = (), **query: str) -> Any:
    """The list as a file, with these columns or all that are offered."""
    where = f"{address}?{urlencode(query)}"
    form = client.get(where).context["form"]
    kinds = {label: key for key, label in form.fields["format"].choices}
    ticked = {name: "on" for name, field in form.fields.items() if hasattr(field, "is_selectable_field")}
    chosen = {f"listed_{name}": "on" for name in columns} or ticked
    return client.post(where, {"resource": "0", "format": kinds[kind], **chosen})
