"""Pictures of the console: a day of two farms through `telemetry.ingest`, served by gunicorn, seen by chromium. See scripts/screenshots."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import secrets
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from alerts.evaluation import evaluate
from alerts.models import Alert
from cgminer.address import Address
from cgminer.poll import Outcome, Target
from commands import dispatch
from commands.models import CommandType
from miners.models import Miner, MinerModel
from resilience.leases import job_lease
from sites.models import CollectorKey, Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.raw_replies import store_replies
from telemetry.readings import Board, Pool, Reading, Upload
from telemetry.rollups import roll_up
from tests.conftest import CHROMIUM, CHROMIUM_OPTIONS
from tests.web import ROOT, WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MODELS = ("antminer-s19-pro", "antminer-s21", "whatsminer-m50s", "whatsminer-m60s")
EVERY = timedelta(minutes=5)
DAY = timedelta(hours=25)
WATCHED = timedelta(hours=1)
"""So long the alert rules have been looking."""
POOL = "stratum+tcp://btc.pool.example:3333"
LARGEST = 250_000
"""Bytes of one picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the README and the docs.")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument(
        "--everything", action="store_true", help="every page, light and dark, wide and narrow, in both languages, to look at"
    )
    parser.add_argument("--only", default="", metavar="NAMES", help="with --everything: these pages, with commas")
    parser.add_argument("--ways", default="", metavar="WAYS", help="with --everything: such as light-1440-en,dark-390-zh-hans")
    options = parser.parse_args()
    if not CHROMIUM.exists():
        raise SystemExit(f"{CHROMIUM} is missing: apt-get install chromium")
    password = secrets.token_urlsafe(12)
    call_command("migrate", verbosity=0)
    call_command("loaddata", str(ROOT / "fixtures" / "miner_models.json"), verbosity=0)
    get_user_model().objects.create_superuser("operator", "operator@farm.example", password)
    live_a_day(timezone.now())
    options.out.mkdir(parents=True, exist_ok=True)
    with WebServer(options.scratch, os.environ) as web:
        take_pictures(web.url, password, options)


# The farms


def live_a_day(now: datetime) -> None:
    """Two farms at work, one of them silent for two hours, and one that waits for its first collector."""
    valley = Site.objects.create(
        code="valley", name="North Valley", timezone="America/Denver", power_price_kwh="0.0450", interval_seconds=300
    )
    river = Site.objects.create(
        code="river", name="Riverside Containers", collection="collector", timezone="Asia/Almaty", interval_seconds=300
    )
    Site.objects.create(code="plateau", name="Plateau", collection="collector")
    key, _secret = CollectorKey.objects.generate(site=river, name="container 3, Raspberry Pi")
    stock(valley, 120, zones=("Hall 1", "Hall 2"))
    stock(river, 60, zones=("Container 3",))
    for job in ("hashinsight.polls", "poll:valley", "hashinsight.rollups"):
        with job_lease(job, ttl_s=60) as lease:
            lease.result = "120 miners, 113 online, 7 offline in 2.1 s" if job.startswith("poll:") else "2 sites"
    random.seed(21)
    for at in moments(now):
        ingest_readings(valley, readings_of(valley, at, now=now), source=Source.POLLER, received_at=at)
        if not timedelta(hours=6) < now - at < timedelta(hours=8):
            readings = readings_of(river, at, now=now)
            upload = Upload(key_id=key.pk, client_address="203.0.113.9", size_bytes=31_000, received=len(readings), device_id="rpi-3")
            ingest_readings(river, readings, source=Source.COLLECTOR, received_at=at, upload=upload)
        if now - at < WATCHED:
            evaluate(now=at)
    roll_up(now, budget_s=120)
    ask(valley, now=now)
    keep_a_reply(valley, now=now)


def moments(now: datetime) -> Iterator[datetime]:
    first = now - DAY
    return (first + EVERY * step for step in range(DAY // EVERY + 1))


def stock(site: Site, count: int, *, zones: tuple[str, ...]) -> None:
    models = list(MinerModel.objects.filter(slug__in=MODELS))
    in_zone = -(-count // len(zones))
    Miner.objects.bulk_create(
        Miner(
            site=site,
            miner_id=f"{site.code[0].upper()}{number + 1:03}",
            model=models[number * 7 % len(models)],
            ip_address=f"10.20.{number // 200}.{number % 200 + 1}",
            serial_number=f"HKYD{site.pk}{number:06}",
            zone=zones[number // in_zone],
            rack=f"R{number % in_zone // 12 + 1:02}",
            slot=str(number % 12 + 1),
        )
        for number in range(count)
    )


def readings_of(site: Site, at: datetime, *, now: datetime) -> list[Reading]:
    """What the miners say at `at`. Half a rack falls silent nine hours ago; some are dead, hot, asleep or without a board."""
    miners = enumerate(Miner.objects.filter(site=site).select_related("model").order_by("pk"))
    silent = range(36, 42) if now - at < timedelta(hours=9) and site.code == "valley" else ()
    return [reading_of(miner, number, at) for number, miner in miners if number not in silent]


def reading_of(miner: Miner, number: int, at: datetime) -> Reading:
    model = miner.model
    assert model is not None
    known: dict[str, Any] = {"miner_id": miner.miner_id, "timestamp": at, "model": model.name, "firmware_version": "2026.03.1"}
    if number % 23 == 5:
        return Reading(**known, online=False, error_type="timeout", error_message=f"{miner.ip_address}:4028: no answer within 2 s")
    day = math.sin(at.timestamp() / 86_400 * 2 * math.pi)
    asleep, hot, lost = number % 29 == 11, number % 31 == 7, number % 19 == 3
    share = 0.0 if asleep else (0.97 + 0.01 * day + random.uniform(-0.015, 0.015)) * ((model.boards - 1) / model.boards if lost else 1)
    hottest = 31.0 if asleep else 68 - 4 * day + random.uniform(-2, 2) + (22 if hot else 0)
    boards = [board_of(model, index, hottest, out=lost and index == 1, asleep=asleep) for index in range(model.boards)]
    return Reading(
        **known,
        mining_state="sleeping" if asleep else "overheated" if hot else "mining",
        hashrate_ghs=model.hashrate_ghs * share,
        hashrate_5s_ghs=model.hashrate_ghs * share * random.uniform(0.97, 1.03),
        hashrate_expected_ghs=model.hashrate_ghs,
        temperature_avg=hottest - 6,
        temperature_min=hottest - 14,
        temperature_max=hottest,
        temperature_chips=[round(hottest - step, 1) for step in range(3)],
        fan_speeds=[random.randint(4_800, 5_900) for _ in range(model.fans)],
        frequency_avg=525.0,
        accepted_shares=int(at.timestamp()) % 1_000_000 // 8,
        rejected_shares=120 + number,
        hardware_errors=4 * number,
        uptime_seconds=int(at.timestamp()) % 1_000_000,
        power_consumption=model.power_consumption * (0.02 if asleep else share * 1.01),
        pool_url=POOL,
        worker_name=f"farm.{miner.miner_id}",
        latency_ms=random.uniform(20, 120),
        boards=boards,
        pools=[
            Pool(url=POOL, user=f"farm.{miner.miner_id}", status="alive", active=True, accepted=104_210, rejected=120),
            Pool(url="stratum+tcp://backup.pool.example:443", user=f"farm.{miner.miner_id}", status="alive"),
        ],
        error_codes=["P:1", "329"] if hot else None,
    )


def board_of(model: MinerModel, index: int, hottest: float, *, out: bool, asleep: bool) -> Board:
    chips = model.chips_per_board or 100
    if out:
        return Board(id=index, hashrate=0.0, chips_ok=0, chips_total=chips)
    hashrate = 0.0 if asleep else model.hashrate_ghs / model.boards * 0.97
    return Board(id=index, hashrate=round(hashrate), temp=round(hottest - index * 1.5, 1), chips_ok=chips, chips_total=chips)


def ask(site: Site, *, now: datetime) -> None:
    """An operator restarts the miner that lost a board."""
    miner = Miner.objects.filter(site=site).order_by("pk")[3]
    order = dispatch.Order(command=CommandType.RESTART, reason="board 1 is out")
    dispatch.create_command(miner, order, requested_by=get_user_model().objects.get(), now=now)


def keep_a_reply(site: Site, *, now: datetime) -> None:
    miner = Miner.objects.filter(site=site).order_by("pk")[3]
    summary = {
        "STATUS": [{"STATUS": "S", "Msg": "Summary", "Description": "cgminer 1.0.0"}],
        "SUMMARY": [{"Elapsed": 93_200, "GHS 5s": 72_114.3}],
    }
    target = Target(key=miner.pk, address=Address(miner.ip_address, miner.port))
    raw = {"summary": json.dumps(summary).encode()}
    store_replies([Outcome(target=target, raw=raw, attempts=1, finished_at=now - timedelta(minutes=22))])


# The pictures


def take_pictures(address: str, password: str, options: argparse.Namespace) -> None:
    from playwright.sync_api import sync_playwright

    out, pages = options.out, addresses()  # before Playwright's loop runs in this thread, which Django takes for an asynchronous caller
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_OPTIONS)
        if options.everything:
            for theme, width, language in itertools.product(("light", "dark"), (1440, 390), ("en", "zh-hans")):
                way = f"{theme}-{width}-{language}"
                if options.ways and way not in options.ways.split(","):
                    continue
                page = logged_in(chromium, address, password, theme=theme, width=width, language=language)
                for name, path in pages.items():
                    if not options.only or name in options.only.split(","):
                        shoot(page, address + path, out / f"{name}-{way}.png", whole=True)
        else:
            light = logged_in(chromium, address, password, theme="light", width=1440, language="en")
            for name in ("overview", "site", "miner", "miners"):
                shoot(light, address + pages[name], out / f"{name}.png", whole=False)
            dark = logged_in(chromium, address, password, theme="dark", width=1440, language="en")
            shoot(dark, address + pages["overview"], out / "overview-dark.png", whole=False)
        chromium.close()


def addresses() -> dict[str, str]:
    site, empty = Site.objects.get(code="valley"), Site.objects.get(code="plateau")
    hot = Miner.objects.filter(site=site).order_by("pk")[3]
    lists = {
        "sites": "sites/site",
        "miners": "miners/miner",
        "models": "miners/minermodel",
        "keys": "sites/collectorkey",
        "live": "telemetry/minertelemetrylive",
        "uploads": "telemetry/collectoruploadlog",
        "commands": "commands/minercommand",
        "batches": "commands/commandbatch",
        "jobs": "resilience/joblease",
        "users": "auth/user",
        "groups": "auth/group",
        "alerts": "alerts/alert",
        "rules": "alerts/alertrule",
        "actions": "alerts/alertaction",
        "silences": "alerts/silence",
        "channels": "alerts/notificationchannel",
        "escalation": "alerts/escalationstep",
        "deliveries": "alerts/delivery",
        "gaps": "telemetry/telemetrygap",
        "collectors": "sites/collector",
        "collector-events": "sites/collectorevent",
        "passwords": "commands/minercredential",
        "approvals": "commands/approvalrule",
        "locks": "axes/accessattempt",
        "schedules": "django_q/schedule",
        "market": "market/marketsample",
    }
    alert, operator = Alert.objects.order_by("pk").first(), get_user_model().objects.get(username="operator")
    return {
        "overview": "/admin/",
        "site": f"/admin/sites/site/{site.pk}/overview/",
        "site-empty": f"/admin/sites/site/{empty.pk}/overview/",
        "site-edit": f"/admin/sites/site/{site.pk}/change/",
        "miner": f"/admin/miners/miner/{hot.pk}/overview/",
        "miner-edit": f"/admin/miners/miner/{hot.pk}/change/",
        "layout-import": f"/admin/sites/site/{site.pk}/overview/layout/import/",
        "order": f"/admin/commands/minercommand/order/?miners={hot.pk},{hot.pk + 1},{hot.pk + 2}",
        "preferences": "/admin/preferences/",
        "readings": "/admin/telemetry/readings/",
        "key-new": "/admin/sites/collectorkey/add/",
        "import": "/admin/miners/miner/import/",
        "search": f"/admin/sites/site/{site.pk}/overview/search/",
        "export": "/admin/miners/miner/export/",
        "changes": "/admin/changes/",
        "account": "/admin/account/",
        "user-edit": f"/admin/auth/user/{operator.pk}/change/",
        "rule-edit": f"/admin/alerts/alertrule/{alert.rule_id if alert else 1}/change/",
        "channel-new": "/admin/alerts/notificationchannel/add/",
        "silence-new": "/admin/alerts/silence/add/",
        **({"alert": f"/admin/alerts/alert/{alert.pk}/overview/"} if alert else {}),
        **{name: f"/admin/{path}/" for name, path in lists.items()},
    }


def logged_in(chromium: Browser, address: str, password: str, *, theme: Any, width: int, language: str) -> Page:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, locale=language)
    context.add_cookies([{"name": "django_language", "value": language, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/admin/")
    page.fill("input[name=username]", "operator")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")
    return page


def shoot(page: Page, address: str, picture: Path, *, whole: bool) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        "[...document.querySelectorAll('.hi-chart')].every(box => box.dataset.drawn || !box.querySelector('.hi-empty').hidden)"
    )
    page.screenshot(path=picture, full_page=whole)
    size = picture.stat().st_size
    sys.stdout.write(f"{picture} {size // 1000} kB\n")
    if not whole and size > LARGEST:
        raise SystemExit(f"{picture} has {size} bytes, more than {LARGEST}.")
