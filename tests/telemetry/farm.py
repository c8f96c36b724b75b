"""Plain makers for the tests of this folder: a site, readings at a minute of a fixed day, and one call to store them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.readings import Board, IngestReport, Reading, Upload

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def minute(number: float) -> datetime:
    """`number` minutes after noon of the tests' day."""
    return NOON + timedelta(minutes=number)


def make_site(code: str = "north", **fields: Any) -> Site:
    return Site.objects.create(code=code, name=code.title(), **fields)


def reading(miner_id: str = "m1", at: datetime = NOON, **fields: Any) -> Reading:
    """An online miner that hashes at 100 TH/s unless `fields` say something else."""
    return Reading(miner_id=miner_id, timestamp=at, **({"hashrate_ghs": 100_000.0} | fields))


def full_reading(miner_id: str = "m1", at: datetime = NOON, **fields: Any) -> Reading:
    """A reading with every field that collectors send."""
    values: dict[str, Any] = {
        "ip_address": "10.0.0.7",
        "hashrate_ghs": 97_412.5,
        "hashrate_5s_ghs": 98_001.25,
        "hashrate_expected_ghs": 100_000.0,
        "temperature_avg": 61.5,
        "temperature_min": 48.0,
        "temperature_max": 74.0,
        "temperature_chips": [61.0, 74.0, 68.5],
        "fan_speeds": [4200, 4260, 4190, 4230],
        "frequency_avg": 525.0,
        "accepted_shares": 5_000_000_000,
        "rejected_shares": 1200,
        "hardware_errors": 3,
        "uptime_seconds": 86_400,
        "power_consumption": 3250.0,
        "pool_url": "stratum+tcp://pool.example:3333",
        "worker_name": f"farm.{miner_id}",
        "pool_latency_ms": 21.5,
        "latency_ms": 88.0,
        "boards": [Board(id=index, hashrate=32_470.0, temp=70.0, chips_ok=76, chips_total=76) for index in range(3)],
        "model": "Antminer S19",
        "firmware_version": "2023.07",
    }
    return Reading(miner_id=miner_id, timestamp=at, **(values | fields))


def store(site: Site, *readings: Reading, at: datetime | None = None, upload: Upload | None = None) -> IngestReport:
    """Ingest `readings`, received when the newest of them was taken."""
    received_at = at or max(item.timestamp for item in readings)
    return ingest_readings(site, readings, source=Source.COLLECTOR, received_at=received_at, upload=upload)


def an_upload(received: int = 1, **fields: Any) -> Upload:
    values: dict[str, Any] = {"key_id": None, "client_address": "10.0.0.2", "size_bytes": 600, "received": received}
    return Upload(**(values | fields))


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll `condition`; a test that waits longer fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition.__name__}"
        time.sleep(0.02)
