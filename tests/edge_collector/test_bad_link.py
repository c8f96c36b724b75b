"""The real program against the real server over a link that drops, delays, cuts and lies: the history is what the miners answered."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from cgminer.simulator import build_fleet, write_inventory
from sites.models import Site
from telemetry import sequence_gaps
from telemetry.models import CollectorSequence, CollectorUploadLog, MinerTelemetryHistory, TelemetryGap
from tests.edge_collector.counting_fleet import CountingFleet
from tests.edge_collector.fault_proxy import FAULTS, FaultProxy
from tests.edge_collector.makers import write_config
from tests.makers import make_key, make_site
from tests.servers import free_port, wait_until
from tests.web import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("bad link")]

ROOT = Path(__file__).resolve().parents[2]
MINERS = 20
INTERVAL_S = 0.5
SLOW = "HASHINSIGHT_SLOW" in os.environ


@pytest.fixture
def site() -> Site:
    return make_site("north", collection=Site.Collection.COLLECTOR)


@pytest.fixture
def web(child_environment, server_directory) -> Iterator[WebServer]:
    """The server; a round each half second would be over its usual rates."""
    names = ("UPLOAD", "READ", "RESULT", "HEARTBEAT")
    rates = {f"HASHINSIGHT_{name}_RATE_PER_MINUTE": "1000000" for name in names}
    with WebServer(server_directory, {**child_environment, **rates}) as server:
        yield server


@pytest.fixture
def fleet() -> Iterator[CountingFleet]:
    with CountingFleet(build_fleet(MINERS, port=free_port(), models=(("Antminer S19", 1),))) as fleet:
        yield fleet


@dataclass
class Program:
    """`edge-collector` as a process. `rounds` is what it said of each round it ended."""

    config: Path
    rounds: list[dict] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen | None = None

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "edge_collector", "--config", str(self.config), *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self, within_s: float = 60) -> int:
        code = self.process.wait(within_s)
        self._reader.join()
        self.process.stderr.close()
        return code

    def _read(self, process: subprocess.Popen) -> None:
        for line in process.stderr:
            self.lines.append(line)
            if '"round_done"' in line:
                self.rounds.append(json.loads(line))

    @property
    def unread(self) -> int:
        """Answers that the program itself says it did not get, because a round had to end."""
        return sum(each["asked"] - each["online"] for each in self.rounds)


@pytest.fixture
def program(site, fleet, tmp_path) -> Iterator[Program]:
    write_inventory([miner.spec for miner in fleet.miners.values()], tmp_path / "miners.csv")
    program = Program(tmp_path / "edge-collector.toml")
    yield program
    if program.process and program.process.poll() is None:
        program.stop(signal.SIGKILL)
    sys.stdout.write("".join(program.lines[-200:]))


def configure(program: Program, site: Site, *, url: str) -> None:
    write_config(
        program.config.parent,
        url=url,
        key=make_key(site)[1],
        loop={"interval_s": INTERVAL_S, "jitter_s": 0.05, "patience_s": 0.4, "hand_over_s": 0.3},
        server={"timeout_s": 1.5},
        log={"form": "json"},
    )


def send_what_is_left(program: Program, proxy: FaultProxy) -> None:
    """One more round, and everything that waits, over a link that is well again."""
    proxy.badness = 0
    program.start("once", "--within", "60")
    assert program.wait(90) == 0, "".join(program.lines[-20:])


def stored(site: Site) -> Counter[tuple[str, int]]:
    """How often each answer of each miner is in the history."""
    readings = MinerTelemetryHistory.objects.filter(miner__site=site, online=True)
    found = Counter(readings.values_list("miner__miner_id", "accepted_shares"))
    connection.close()
    return found


def answered(fleet: CountingFleet) -> set[tuple[str, int]]:
    return {(name, number) for name, answers in fleet.answers.items() for number in range(1, answers + 1)}


def assert_history_is_what_was_answered(site: Site, fleet: CountingFleet, *, may_be_missing: int) -> None:
    history = stored(site)
    assert set(history.values()) == {1}, "an answer is in the history twice"
    assert history.keys() <= answered(fleet)
    missing = answered(fleet) - history.keys()
    assert len(missing) <= may_be_missing, f"{len(missing)} of {len(answered(fleet))} answers are lost: {sorted(missing)[:10]}"


def assert_no_number_is_missing(site: Site) -> None:
    sequence_gaps.update(timezone.now())
    assert list(TelemetryGap.objects.filter(site=site, collector__isnull=False).values("sequence_start", "sequence_end", "cause")) == []
    assert CollectorSequence.objects.get(collector__site=site).highest >= len(stored(site))


def run_rounds(program: Program, proxy: FaultProxy, *, rounds: int) -> None:
    """Over a link of changing badness: sometimes nothing gets through for a while."""
    chance = random.Random(rounds)
    program.start("run")
    while len(program.rounds) < rounds:
        assert program.process.poll() is None, "".join(program.lines[-20:])
        proxy.badness = chance.choice((0.2, 0.6, 0.6, 1.0))
        goal = min(rounds, len(program.rounds) + chance.randint(3, 12))
        wait_until(lambda goal=goal: len(program.rounds) >= goal or program.process.poll() is not None, timeout_s=60, what="rounds")
    assert program.stop() == 0


@pytest.mark.once
@pytest.mark.parametrize(
    "rounds", [60, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.skipif(not SLOW, reason="HASHINSIGHT_SLOW=1")])]
)
def test_history_is_what_the_miners_answered_over_a_bad_link(site, web, fleet, program, rounds):
    with FaultProxy(web.port, seed=20_261_124) as proxy:
        configure(program, site, url=proxy.url)
        run_rounds(program, proxy, rounds=rounds)
        send_what_is_left(program, proxy)

    assert set(FAULTS) <= proxy.happened.keys()
    assert_history_is_what_was_answered(site, fleet, may_be_missing=program.unread)
    assert_no_number_is_missing(site)
    total = sum(fleet.answers.values())
    duplicates = sum(CollectorUploadLog.objects.values_list("duplicates", flat=True))
    sys.stdout.write(
        f"{len(program.rounds)} rounds, {total} answers, {program.unread} unread, {duplicates} sent twice, {dict(proxy.happened)}\n"
    )


@pytest.mark.once
@pytest.mark.parametrize(
    "kills", [8, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.skipif(not SLOW, reason="HASHINSIGHT_SLOW=1")])]
)
def test_program_that_is_killed_at_any_moment_loses_no_more_than_the_round_it_was_in(site, web, fleet, program, kills):
    chance = random.Random(kills)
    with FaultProxy(web.port, seed=kills, badness=0.3) as proxy:
        configure(program, site, url=proxy.url)
        for _ in range(kills):
            program.start("run")
            before = len(program.rounds)
            wait_until(lambda before=before: len(program.rounds) > before, timeout_s=60, what="a round")
            time.sleep(chance.uniform(0, 3 * INTERVAL_S))  # this is the random point at which it dies
            program.stop(signal.SIGKILL)
        send_what_is_left(program, proxy)

    assert_history_is_what_was_answered(site, fleet, may_be_missing=program.unread + kills * MINERS)
    per_miner = Counter(name for name, _ in answered(fleet) - stored(site).keys())
    assert max(per_miner.values(), default=0) <= kills + program.unread
    assert_no_number_is_missing(site)
