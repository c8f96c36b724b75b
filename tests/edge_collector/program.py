"""The real program as a process, and what the real server has of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import timezone

from sites.models import Site
from telemetry import sequence_gaps
from telemetry.models import CollectorSequence, MinerTelemetryHistory, TelemetryGap
from tests.edge_collector.counting_fleet import CountingFleet
from tests.edge_collector.fault_proxy import FaultProxy
from tests.edge_collector.makers import write_config
from tests.makers import make_key

ROOT = Path(__file__).resolve().parents[2]
INTERVAL_S = 0.5


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


def configure(program: Program, site: Site, *, url: str, **sections: Mapping[str, Any]) -> None:
    write_config(
        program.config.parent,
        url=url,
        key=make_key(site)[1],
        loop={"interval_s": INTERVAL_S, "jitter_s": 0.05, "patience_s": 0.4, "hand_over_s": 0.3},
        server={"timeout_s": 1.5},
        log={"form": "json"},
        **sections,
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
