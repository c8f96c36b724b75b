"""What the benchmarks of ingest and of the queries stand on: a PostgreSQL that keeps its promises, a migrated database, uploads."""

from __future__ import annotations

import gc
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import PostgreSQLServer  # noqa: E402 - the path is set just above


class DurableServer(PostgreSQLServer):
    """Unlike the one for tests it waits for the disk at each commit."""

    options = {
        "shared_buffers": "512MB",
        "max_connections": "50",
        "max_wal_size": "4GB",
        "io_method": "sync",
        "log_min_messages": "warning",
        "timezone": "UTC",
    }


@contextmanager
def database(engine: str) -> Iterator[str]:
    """The URL of an empty database, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hashinsight-bench-"))
    folder.chmod(0o711)
    try:
        if engine == "sqlite":
            yield f"sqlite:///{folder / 'bench.sqlite3'}"
            return
        inside = folder / "postgresql"
        inside.mkdir()
        with DurableServer(inside) as server:
            server.execute("CREATE DATABASE hashinsight")
            yield server.url("hashinsight")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_in(engine: str, arguments: list[str]) -> int:
    """Run this script again, as a process that has the database as its own."""
    with database(engine) as url, tempfile.TemporaryDirectory() as data:
        environment = os.environ | {
            "DATABASE_URL": url,
            "HASHINSIGHT_DATA_DIR": data,
            "HASHINSIGHT_ENV_FILE": os.devnull,
            "HASHINSIGHT_LOG_LEVEL": "ERROR",
            "DATABASE_STATEMENT_TIMEOUT": "0",
            "DJANGO_SETTINGS_MODULE": "hashinsight.settings",
        }
        return subprocess.run([sys.executable, sys.argv[0], *arguments, "--inside"], env=environment, check=False).returncode


def set_up_django() -> None:
    import django
    import structlog
    from django.core.management import call_command

    django.setup()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    call_command("migrate", verbosity=0)
    gc.freeze()  # this and the threshold as in the web server
    gc.set_threshold(50_000)


def analyze() -> None:
    """What autovacuum does within a minute of the first rows; before that, PostgreSQL plans for tables of a handful."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def record(number: int, at: datetime, chance: random.Random) -> dict[str, Any]:
    """One full record of the collector contract, 28 fields with boards, chips and fans."""
    rate = 95_000 + chance.random() * 4_000
    return {
        "miner_id": f"miner-{number:06d}",
        "timestamp": at.replace(tzinfo=None).isoformat(),
        "ip_address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "online": True,
        "hashrate_ghs": round(rate, 2),
        "hashrate_5s_ghs": round(rate * 1.01, 2),
        "hashrate_expected_ghs": 100_000.0,
        "temperature_avg": round(58 + chance.random() * 8, 1),
        "temperature_min": 47.5,
        "temperature_max": round(68 + chance.random() * 9, 1),
        "temperature_chips": [round(60 + chance.random() * 15, 1) for _ in range(12)],
        "fan_speeds": [4000 + chance.randrange(400) for _ in range(4)],
        "frequency_avg": 525.0,
        "accepted_shares": 5_000_000_000 + chance.randrange(10**6),
        "rejected_shares": chance.randrange(5_000),
        "hardware_errors": chance.randrange(50),
        "uptime_seconds": 864_000 + chance.randrange(10**5),
        "power_consumption": round(3_200 + chance.random() * 100, 1),
        "efficiency": 33.1,
        "pool_url": "stratum+tcp://pool.example:3333",
        "worker_name": f"account.miner-{number:06d}",
        "pool_latency_ms": 24.0,
        "latency_ms": round(40 + chance.random() * 40, 1),
        "boards": [{"id": board, "hashrate": round(rate / 3, 2), "temp": 68.5, "chips_ok": 114, "chips_total": 114} for board in range(3)],
        "boards_total": 3,
        "boards_healthy": 3,
        "overall_health": "healthy",
        "model": "Antminer S19 Pro",
        "firmware_version": "2023.07.21",
    }


def upload_body(count: int, at: datetime, *, first: int = 0, seed: int = 1) -> bytes:
    """A gzipped upload of `count` miners read at `at`, as an agent sends it."""
    chance = random.Random(seed)
    records = [record(number, at, chance) for number in range(first, first + count)]
    return gzip.compress(json.dumps(records).encode(), 6)


def timed_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def median(values: list[float]) -> float:
    return statistics.median(values)
