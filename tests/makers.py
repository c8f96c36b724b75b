"""Plain makers: each makes one valid thing with the fields a test does not care about filled in.

    site = make_site()
    miner = make_miner(site, zone="A")
    reading = make_reading(miner.miner_id, hashrate_ghs=95_000.0)

Names are numbered, so that two calls never clash.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from commands.models import CommandType, MinerCommand
from miners.models import Miner, MinerModel
from sites.models import SILENT_INTERVALS, Collector, CollectorKey, Site
from telemetry.models import CollectorUploadLog, MinerTelemetryLive, Source
from telemetry.readings import Reading

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""A fixed moment, for tests that pass the time in."""
_numbers = itertools.count(1)


def make_site(code: str = "", **fields: Any) -> Site:
    code = code or f"site-{next(_numbers)}"
    return Site.objects.create(code=code, **{"name": f"Farm {code}", **fields})


def make_key(site: Site | None = None, **fields: Any) -> tuple[CollectorKey, str]:
    """A collector key and its secret, as the collector sends it."""
    return CollectorKey.objects.generate(site=site or make_site(), **{"name": "a collector", **fields})


def make_collector(site: Site | None = None, **fields: Any) -> Collector:
    """A collector that has just beaten, unless `heartbeat_at` says otherwise."""
    beat = {"device_id": f"edge-{next(_numbers)}", "heartbeat_at": timezone.now(), "interval_seconds": 60, **fields}
    if beat["heartbeat_at"] is not None:
        beat.setdefault("silent_from", beat["heartbeat_at"] + timedelta(seconds=beat["interval_seconds"] * SILENT_INTERVALS))
    return Collector.objects.create(site=site or make_site(), **beat)


def make_miner_model(name: str = "", **fields: Any) -> MinerModel:
    name = name or f"Antminer T{next(_numbers)}"
    defaults = {
        "maker": "Bitmain",
        "slug": name.lower().replace(" ", "-"),
        "hashrate_ghs": 95_000.0,
        "power_consumption": 3_250.0,
        "efficiency": 34.2,
        "boards": 3,
        "fans": 4,
        "source": "made for a test",
    }
    return MinerModel.objects.create(name=name, **{**defaults, **fields})


def make_miner(site: Site | None = None, miner_id: str = "", **fields: Any) -> Miner:
    miner_id = miner_id or f"miner-{next(_numbers)}"
    return Miner.objects.create(site=site or make_site(), miner_id=miner_id, **{"ip_address": "127.0.0.1", **fields})


def make_miners(site: Site, count: int, **fields: Any) -> list[Miner]:
    """`count` miners in one statement, `m00001` and up, each at an address of its own."""
    return Miner.objects.bulk_create(
        Miner(site=site, miner_id=f"m{number:05}", **{"ip_address": f"127.1.{number // 256}.{number % 256}", **fields})
        for number in range(1, count + 1)
    )


def make_reading(miner_id: str, **fields: Any) -> Reading:
    """What a healthy miner of about 95 TH/s reports, now unless `timestamp` says otherwise."""
    defaults = {
        "timestamp": timezone.now(),
        "mining_state": "mining",
        "hashrate_ghs": 94_800.0,
        "temperature_max": 71.0,
        "power_consumption": 3_240.0,
        "accepted_shares": 12_345,
        "uptime_seconds": 86_400,
    }
    return Reading(miner_id=miner_id, **{**defaults, **fields})


def make_live(miner: Miner, **fields: Any) -> MinerTelemetryLive:
    """The miner's live row, as if it had just reported; for tests of what reads it, not of ingest."""
    now = timezone.now()
    defaults = {
        "timestamp": now,
        "received_at": now,
        "last_online_at": now,
        "source": Source.POLLER,
        "hashrate_ghs": 94_800.0,
        "temperature_max": 71.0,
        "power_consumption": 3_240.0,
    }
    return MinerTelemetryLive.objects.create(miner=miner, site=miner.site, **{**defaults, **fields})


def make_upload_log(site: Site, **fields: Any) -> CollectorUploadLog:
    defaults = {"upload_time": timezone.now(), "status": CollectorUploadLog.Status.STORED, "received": 1, "processed": 1}
    return CollectorUploadLog.objects.create(site=site, **{**defaults, **fields})


def make_command(miner: Miner, command: CommandType = CommandType.RESTART, **fields: Any) -> MinerCommand:
    """A command in the state given, past `commands.dispatch`: for tests of what reads it."""
    asked = fields.pop("created_at", timezone.now())
    defaults = {"created_at": asked, "expires_at": asked + timedelta(minutes=15)}
    return MinerCommand.objects.create(site=miner.site, miner=miner, command=command, **{**defaults, **fields})


def make_superuser(username: str = "", password: str = "not a secret in a test") -> User:
    username = username or f"admin-{next(_numbers)}"
    return get_user_model().objects.create_superuser(username, f"{username}@example.com", password)


def make_staff(
    username: str = "", *, sites: tuple[Site, ...] = (), permissions: tuple[str, ...] = (), password: str = "not a secret"
) -> User:
    """Staff who see `sites` and have `permissions`, each `app.codename` (`miners.view_miner`)."""
    username = username or f"operator-{next(_numbers)}"
    user = get_user_model().objects.create_user(username, f"{username}@example.com", password, is_staff=True)
    user.sites.set(sites)
    for permission in permissions:
        app_label, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    return user
