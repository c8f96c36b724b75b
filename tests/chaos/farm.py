"""A whole installation on this machine, with everything it depends on, to be hurt: `manage.py up` with two web workers and the cluster, a
PostgreSQL, a Redis, the market's providers, simulated miners that it polls, a collector that uploads and an operator who looks at pages.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psycopg2
import redis
import requests

from cgminer.simulator import SimulatedFleet, build_fleet
from cgminer.simulator.spec import State
from tests.chaos.people import Collector, Operator, Reading
from tests.hashinsight.supervised import Supervised
from tests.market.exchange import DIFFICULTY, MEMPOOL, PRICE, Exchange
from tests.market.test_providers import COINGECKO_ANSWER, DIFFICULTY_ANSWER, MEMPOOL_ANSWER
from tests.ports import free_port
from tests.servers import PostgreSQLServer, RedisServer, die_with_parent, wait_until
from tests.web import ROOT

RECOVERY_S = 60.0
"""So long after the end of a fault everything works again, by itself."""
START_S = 180.0
"""The first start also migrates, and hashes and compresses the static files."""
SLOW = "HASHINSIGHT_SLOW" in os.environ
PROCESSES = Path(__file__).parent / "processes"
MINERS, SILENT_SHARE = 20, 0.1
GOOD_ANSWERS = {PRICE: COINGECKO_ANSWER, DIFFICULTY: DIFFICULTY_ANSWER, MEMPOOL: MEMPOOL_ANSWER}


@dataclass(slots=True)
class Fault:
    """When something was broken, by the monotonic clock and the time of day."""

    begun: float
    begun_at: datetime
    ended: float = 0.0
    ended_at: datetime | None = None
    recovered_in_s: float = 0.0


class Farm:
    def __init__(self, directory: Path, disk: Path) -> None:
        self.directory, self.disk = directory, disk
        self.clock = directory / "clock"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        self.clock.write_text("0")
        self.database = stack.enter_context(PostgreSQLServer(_folder(self.disk / "postgresql")))
        self.redis = stack.enter_context(RedisServer(_folder(self.directory / "redis")))
        self.exchange = stack.enter_context(Exchange())
        self.exchange.answers = dict(GOOD_ANSWERS)
        specs = build_fleet(MINERS, first_address="127.0.90.1", port=free_port(), shares={State.DEAD: SILENT_SHARE})
        stack.enter_context(SimulatedFleet(specs, latency=(0.0, 0.02)))
        self.database.execute("CREATE DATABASE farm")
        self.database.execute("ALTER DATABASE farm SET synchronous_commit = on")
        self.environment = self._environment()
        self.up = Supervised("up", self.environment, self.disk / "data", "--web-workers", "2", web_workers=2)
        self.up.log = self.directory / "up.log"
        stack.enter_context(self.up)
        wait_until(self.up.is_complete, timeout_s=START_S, what="all processes, and only those")
        found = self._settle([(spec.miner_id, spec.host, spec.port) for spec in specs])
        stack.callback(self._end, self._poll_often())
        self.session_cookie = {"sessionid": found["session"]}
        self.pages = _pages(found)
        self.collector = stack.enter_context(Collector(self.up.url, key=found["key"]))
        self.operator = stack.enter_context(Operator(self.up.url, session_key=found["session"], paths=self.pages))

    def _environment(self) -> dict[str, str]:
        """`HASHINSIGHT_DATA_DIR` is the supervised one's own."""
        providers = ("COINGECKO", "BLOCKCHAIN_INFO", "MEMPOOL_SPACE", "COINWARZ")
        return {
            **os.environ,
            **{f"HASHINSIGHT_{name}_URL": self.exchange.url for name in providers},
            "HASHINSIGHT_MARKET_DATA": "True",
            "DATABASE_URL": self.database.url("farm"),
            "REDIS_URL": self.redis.url(),
            "DEBUG": "False",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "127.0.0.1",
            "HASHINSIGHT_UPLOAD_RATE_PER_MINUTE": "100000",
            "HASHINSIGHT_STAFF_RATE_PER_MINUTE": "100000",
            "HASHINSIGHT_POLL_PATIENCE_S": "1",
            "HASHINSIGHT_POLL_ATTEMPTS": "1",
            "HASHINSIGHT_LOG_FORMAT": "json",
            "HASHINSIGHT_TEST_CLOCK": str(self.clock),
            "DJANGO_SETTINGS_MODULE": "hashinsight.settings",
            "PYTHONPATH": str(PROCESSES),
        }

    def _settle(self, inventory: list[tuple[str, str, int]]) -> dict[str, str]:
        command = [sys.executable, "-m", "tests.chaos.processes.settle", json.dumps(inventory)]
        done = subprocess.run(command, cwd=ROOT, env=self._own_environment(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def _poll_often(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.chaos.processes.poll_often", "polled"]
        with (self.directory / "poll_often.log").open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self._own_environment(), stdout=log, stderr=log, preexec_fn=die_with_parent(9))

    def _own_environment(self) -> dict[str, str]:
        """For processes beside the supervised ones, which are told apart by their data directory."""
        return {**self.environment, "HASHINSIGHT_DATA_DIR": str(self.directory / "beside")}

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    @contextmanager
    def fault(self) -> Iterator[Fault]:
        """Whatever is broken in the block and repaired at its end. Behind it, everything has recovered by itself within RECOVERY_S."""
        fault = Fault(time.monotonic(), datetime.now(UTC))
        yield fault
        fault.ended, fault.ended_at = time.monotonic(), datetime.now(UTC)
        self.wait_until_well(fault)
        fault.recovered_in_s = time.monotonic() - fault.ended
        assert self.missing() == set()

    def wait_until_well(self, fault: Fault) -> None:
        left = self._what_is_wrong(fault)
        deadline = fault.ended + RECOVERY_S
        while left:
            assert time.monotonic() < deadline, f"{RECOVERY_S:g} s after the fault's end: {left}"
            time.sleep(0.1)
            left = self._what_is_wrong(fault)

    def _what_is_wrong(self, fault: Fault) -> str:
        if self.collector.last_acknowledged_at < fault.ended:
            return "no upload was acknowledged"
        if len(self.collector.spool) > 1:
            return f"{len(self.collector.spool)} batches wait in the collector's spool"
        ready = self.ready()
        if ready.get("status") != "ok":
            return f"/health/ready says {ready}"
        if fault.ended_at and self.newest_polled() < fault.ended_at:
            return f"the newest polled reading is of {self.newest_polled()}"
        seen = self._newest_by_page(since=fault.ended)
        return "" if set(seen) == set(self.pages) and set(seen.values()) == {200} else f"pages: {seen}"

    def _newest_by_page(self, *, since: float) -> dict[str, int]:
        return {answer.path: answer.status for answer in list(self.operator.answers) if answer.at >= since}

    def ready(self) -> dict[str, object]:
        try:
            answer: dict[str, object] = requests.get(f"{self.up.url}health/ready", timeout=5).json()
        except (requests.RequestException, ValueError) as error:
            return {"status": type(error).__name__}
        return answer

    def age_market_data(self) -> None:
        """Its values are ten minutes old, and no provider is being left alone for what it did before."""
        redis.Redis(port=self.redis.port).flushdb()
        self.query("UPDATE kept_values SET fetched_at = now() - interval '10 minutes', claimed_until = NULL")

    def overview(self) -> str:
        return requests.get(f"{self.up.url}admin/", cookies=self.session_cookie, timeout=20).text

    def metrics(self) -> str:
        return requests.get(f"{self.up.url}metrics", timeout=10).text

    def newest_polled(self) -> datetime:
        """By the server's clock; while no row is there, long ago."""
        rows = self.query(
            "SELECT max(h.timestamp) FROM miner_telemetry_history h JOIN miners_miner m ON m.id = h.miner_id"
            " JOIN sites_site s ON s.id = m.site_id WHERE s.code = 'polled' AND h.timestamp <= now() + interval '5 minutes'"
        )
        newest: datetime | None = rows[0][0] if rows else None
        return newest or datetime.min.replace(tzinfo=UTC)

    def polled_ahead(self) -> int:
        """How many polled readings have a time that has not come yet."""
        rows = self.query("SELECT count(*) FROM miner_telemetry_history WHERE timestamp > now() + interval '30 minutes'")
        return int(rows[0][0]) if rows else 0

    def missing(self) -> set[Reading]:
        """What the collector was told is stored and is not."""
        acknowledged = set(self.collector.acknowledged)
        rows = self.query("SELECT m.miner_id, h.timestamp FROM miner_telemetry_history h JOIN miners_miner m ON m.id = h.miner_id")
        return acknowledged - {(name, at.astimezone(UTC)) for name, at in rows}

    def query(self, statement: str) -> list[tuple]:
        """The rows, or none while the database does not answer."""
        try:
            connection = psycopg2.connect(self.database.url("farm"), connect_timeout=2)
        except psycopg2.OperationalError:
            return []
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def page_statuses(self, fault: Fault) -> set[int]:
        return set(self.operator.statuses(since=fault.begun, until=fault.ended or None))

    def upload_statuses(self, fault: Fault) -> set[int]:
        return set(self.collector.statuses(since=fault.begun, until=fault.ended or None))

    def events(self, name: str) -> list[dict[str, object]]:
        """The log events of that name, of all processes."""
        return [event for line in self.up.lines() if f'"{name}"' in line and (event := _event(line)).get("event") == name]


def stay_broken(seconds: float) -> None:
    """For as long as the test has it; a minute when the long form was asked for."""
    time.sleep(60.0 if SLOW else seconds)


def wait_for(condition, what: str, timeout_s: float = 30.0) -> None:
    wait_until(condition, timeout_s=timeout_s, what=what)


def _pages(found: dict[str, str]) -> list[str]:
    return [
        "/admin/",
        f"/admin/sites/site/{found['site']}/overview/",
        f"/admin/miners/miner/{found['miner']}/overview/",
        "/admin/miners/miner/",
        "/admin/telemetry/collectoruploadlog/",
        "/api/collector/live/collected",
        "/api/collector/summary/polled",
    ]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    path.chmod(0o711)
    return path


def _event(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
