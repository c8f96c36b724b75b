"""What an upload costs beside its storage: HTTP, authentication, rate limit, unpacking, validation.

    python -m bench.upload [--records 5000] [--rounds 7]

Runs the WSGI application in this process on a throw-away SQLite database and takes the time of `ingest_readings` off each request. Three
batches: every record as the contract has it; as agents send them (numbers in text, counts among the fan speeds); with a field this server
does not know.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

LIMIT_MS = 40.0


def record(number: int, at: datetime) -> dict[str, Any]:
    """28 fields, about 900 bytes of JSON."""
    return {
        "miner_id": f"m{number:05}",
        "miner_key": f"{number:026}",
        "timestamp": at.replace(tzinfo=None).isoformat(),
        "online": True,
        "hashrate_ghs": 95_000.5 + number,
        "hashrate_5s_ghs": 96_000.25,
        "hashrate_expected_ghs": 100_000.0,
        "temperature_avg": 61.5,
        "temperature_min": 48.0,
        "temperature_max": 74.0,
        "temperature_chips": [61.0, 74.0, 68.5, 66.0, 70.0, 71.5],
        "fan_speeds": [5880, 6000, 5880, 5760],
        "frequency_avg": 525.0,
        "accepted_shares": 4_057 + number,
        "rejected_shares": 11,
        "hardware_errors": 562,
        "uptime_seconds": 50_474,
        "power_consumption": 3_250.0,
        "efficiency": 34.2,
        "pool_url": "stratum+tcp://pool.example:3333",
        "worker_name": f"farm.{number:05}",
        "pool_latency_ms": 41.0,
        "latency_ms": 12.5,
        "boards": [{"id": board, "hashrate": 33_000.0, "temp": 61.0, "chips_ok": 126, "chips_total": 126} for board in range(3)],
        "boards_total": 3,
        "overall_health": "healthy",
        "model": "Antminer S19 Pro",
        "firmware_version": "2025.1",
    }


def as_agents_send(plain: dict[str, Any], number: int) -> dict[str, Any]:
    dirty = {**plain, "power_consumption": 0.0, "efficiency": 0.0, "firmware_version": "", "fan_speeds": [*plain["fan_speeds"], 4]}
    if number % 4 == 0:
        dirty["hashrate_5s_ghs"] = "96000.25"
    if number % 25 == 0:
        dirty["accepted_shares"] = "  6.0000"
    return dirty


def timed(work: Callable[[], Any], rounds: int) -> float:
    """The median, in milliseconds."""
    taken = []
    for _ in range(rounds):
        started = time.thread_time()
        work()
        taken.append((time.thread_time() - started) * 1000)
    return statistics.median(taken)


def prepare(directory: Path) -> str:
    os.environ.update(
        DJANGO_SETTINGS_MODULE="hashinsight.settings",
        DATABASE_URL=f"sqlite:///{directory / 'bench.sqlite3'}",
        HASHINSIGHT_DATA_DIR=str(directory),
        HASHINSIGHT_UPLOAD_RATE_PER_MINUTE="100000",
        HASHINSIGHT_LOG_LEVEL="WARNING",
        ALLOWED_HOSTS="testserver",
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    import_module("hashinsight.wsgi")  # what it does for the garbage collector is part of what is measured
    from sites.models import CollectorKey, Site

    return CollectorKey.objects.generate(site=Site.objects.create(code="bench", name="bench"), name="bench")[1]


def measure(name: str, rows: list[dict[str, Any]], secret: str, rounds: int) -> float:
    """Print the parts, and return what the whole request takes beside its storage, in milliseconds."""
    from django.conf import settings
    from django.test import Client

    from resilience.bodies import read_body
    from telemetry import views
    from telemetry.uploads import parse_batch

    body = json.dumps(rows).encode()
    packed = gzip.compress(body)
    limits = {"max_bytes": settings.UPLOAD_MAX_BYTES, "max_unpacked_bytes": settings.UPLOAD_MAX_UNPACKED_BYTES}
    client = Client(headers={"X-Collector-Key": secret, "Content-Encoding": "gzip"})
    stored, beside = [], []
    ingest = views.ingest_readings

    def measured_ingest(*args: Any, **kwargs: Any) -> Any:
        started = time.thread_time()
        report = ingest(*args, **kwargs)
        stored.append((time.thread_time() - started) * 1000)
        return report

    views.ingest_readings = measured_ingest
    for _ in range(rounds + 2):
        started = time.thread_time()
        answer = client.generic("POST", "/api/collector/upload", packed, "application/octet-stream")
        beside.append((time.thread_time() - started) * 1000 - stored[-1])
        assert answer.status_code == 200, answer.content[:500]
    views.ingest_readings = ingest
    total = statistics.median(beside[2:])
    unpack = timed(lambda: read_body(io.BytesIO(packed), content_encoding="gzip", **limits), rounds)
    validate = timed(lambda: parse_batch(body, received_at=datetime.now(UTC), max_records=len(rows)), rounds)
    print(
        f"{name:<28} {len(body) / 1e6:5.2f} MB   unpack {unpack:5.1f} ms   validate {validate:5.1f} ms   all beside storage {total:5.1f} ms"
    )
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        secret = prepare(Path(directory))
        at = datetime.now(UTC) - timedelta(minutes=1)
        plain = [record(number, at) for number in range(options.records)]
        slowest = max(
            measure("as the contract has it", plain, secret, options.rounds),
            measure("as agents send it", [as_agents_send(row, number) for number, row in enumerate(plain)], secret, options.rounds),
            measure("with an unknown field", [{**row, "voltage": 12.1} for row in plain], secret, options.rounds),
        )
    print(f"slowest {slowest:.1f} ms, limit {LIMIT_MS:g} ms: {'held' if slowest <= LIMIT_MS else 'BROKEN'}")
    sys.exit(slowest > LIMIT_MS)


if __name__ == "__main__":
    main()
