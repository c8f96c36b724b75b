"""Collectors that upload over HTTP while the database is restarted and killed and web workers die: what was acknowledged is there, once."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from tests.servers import PostgreSQLServer
from tests.web import ROOT, WebServer

pytestmark = pytest.mark.postgresql

SITE = "nothing-lost"
COLLECTORS = 3
MINERS_EACH = 20
BATCHES_EACH = 40
DRAIN_S = 90.0

Reading = tuple[str, datetime]


@dataclass
class Batch:
    body: bytes
    readings: list[Reading]


@dataclass
class Agent:
    """One collector with a spool: what is not acknowledged it sends again, and now and then what is, late and out of order."""

    number: int
    port: int
    secret: str
    chance: random.Random
    acknowledged: set[Reading] = field(default_factory=set)
    refusals: int = 0
    repeats: int = 0

    def run(self) -> None:
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
        spool = [self._batch(start + timedelta(minutes=minute)) for minute in range(BATCHES_EACH)]
        sent: list[Batch] = []
        deadline = time.monotonic() + DRAIN_S
        while spool:
            assert time.monotonic() < deadline, f"{len(spool)} batches were never acknowledged"
            batch = spool.pop(0) if self.chance.random() < 0.7 else spool.pop(self.chance.randrange(len(spool)))
            if not self._send(batch):
                self.refusals += 1
                spool.append(batch)  # delayed behind the newer ones
                time.sleep(0.1)
                continue
            self.acknowledged.update(batch.readings)
            sent.append(batch)
            if self.chance.random() < 0.3:
                self.repeats += self._send(self.chance.choice(sent))
            time.sleep(0.15)

    def _batch(self, at: datetime) -> Batch:
        names = [f"agent{self.number}-{number:02d}" for number in range(MINERS_EACH)]
        records = [{"miner_id": name, "timestamp": at.replace(tzinfo=None).isoformat(), "hashrate_ghs": 95_000.0} for name in names]
        return Batch(gzip.compress(json.dumps(records).encode()), [(name, at) for name in names])

    def _send(self, batch: Batch) -> bool:
        """Done only on status 200 and `success: true`, like the agents in the field."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        headers = {
            "X-Collector-Key": self.secret,
            "X-Site-ID": SITE,
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "gzip",
        }
        try:
            connection.request("POST", "/api/collector/upload", batch.body, headers)
            response = connection.getresponse()
            answer = response.read()
            return response.status == 200 and json.loads(answer)["success"] is True
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()


@pytest.fixture
def installation(postgresql_server: PostgreSQLServer, server_directory: Path):
    """A server of the project on a PostgreSQL that can be hurt; a commit is on its way to the disk before it is answered."""
    postgresql_server.execute("CREATE DATABASE farm")
    postgresql_server.execute("ALTER DATABASE farm SET synchronous_commit = on")
    environment = {
        **os.environ,
        "DATABASE_URL": postgresql_server.url("farm"),
        "REDIS_URL": "",
        "HASHINSIGHT_DATA_DIR": str(server_directory / "data"),
        "HASHINSIGHT_UPLOAD_RATE_PER_MINUTE": "100000",
        "WEB_CONCURRENCY": "2",
    }
    _manage(environment, "migrate", "--verbosity", "0")
    secret = _manage(environment, "create_collector_key", "--site", SITE, "--create-site", "--name", "test").strip()
    folder = server_directory / "web"
    folder.mkdir()
    with WebServer(folder, environment) as web:
        yield postgresql_server, web, secret
    sys.stdout.write(web.log.read_text()[-5_000:])


def _manage(environment, *arguments):
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _workers(web: WebServer) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()]


def _hurt(database: PostgreSQLServer, web: WebServer, uploading: list[Future[None]]) -> int:
    """Restart and kill the database and kill web workers, in turn, while agents are `uploading`; returns how often.

    In the thread that runs the test: the servers end with the thread that started them.
    """
    harm = [lambda: _kill_a_worker(web), database.restart, lambda: _kill_a_worker(web), lambda: (database.kill(), database.start())]
    times = 0
    while not wait(uploading, timeout=1.0, return_when=FIRST_EXCEPTION).done and times < 12:
        harm[times % len(harm)]()
        times += 1
    return times


def _kill_a_worker(web: WebServer) -> None:
    workers = _workers(web)
    if workers:
        os.kill(workers[0], signal.SIGKILL)


def test_history_is_what_was_acknowledged_no_more_and_no_less(installation):
    database, web, secret = installation
    agents = [Agent(number, web.port, secret, random.Random(number)) for number in range(COLLECTORS)]
    with ThreadPoolExecutor(COLLECTORS) as pool:
        uploading = [pool.submit(agent.run) for agent in agents]
        assert _hurt(database, web, uploading) >= 4
        for each in uploading:
            each.result(timeout=DRAIN_S + 30)
    acknowledged = set().union(*[agent.acknowledged for agent in agents])
    assert len(acknowledged) == COLLECTORS * MINERS_EACH * BATCHES_EACH
    assert _history(database) == sorted(acknowledged)
    assert sum(agent.refusals for agent in agents) > 0
    assert sum(agent.repeats for agent in agents) > 0


def _history(database: PostgreSQLServer) -> list[Reading]:
    connection = psycopg2.connect(database.url("farm"))
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT m.miner_id, h.timestamp FROM miner_telemetry_history h JOIN miners_miner m ON m.id = h.miner_id ORDER BY 1, 2"
            )
            return [(name, timestamp.astimezone(UTC)) for name, timestamp in cursor.fetchall()]
    finally:
        connection.close()
