"""Many commands through both ways down while processes are killed and results get lost: what reached the miners, held against the books.

Each command sets a pool with an address of its own, so the simulated miners' log of control commands tells which command came how often.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from cgminer.simulator import MinerSpec, SimulatedFleet
from commands import dispatch
from commands.dispatch import Order
from commands.models import CommandStatus, CommandType, MinerCommand
from miners.models import Miner
from sites.models import CollectorKey, Site
from tests.ports import free_port
from tests.web import ROOT, WebServer

LEASE_S = 4
MODEL = "Antminer S19"
LIMITS = {"HASHINSIGHT_COMMAND_LEASE_S": str(LEASE_S), "HASHINSIGHT_READ_RATE_PER_MINUTE": "100000", "HASHINSIGHT_LOG_LEVEL": "ERROR"}
SURE = (CommandStatus.COMPLETED,)
"""States that say: it was carried out."""


@dataclass(slots=True)
class Verdict:
    """What came of it all. `twice` and `claimed_in_vain` must be empty."""

    commands: int
    kills: Counter[str]
    seconds: float
    statuses: Counter[str] = field(default_factory=Counter)
    executions: Counter[int] = field(default_factory=Counter)
    """How many commands reached their miner so often."""
    twice: list[str] = field(default_factory=list)
    claimed_in_vain: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    open: int = 0

    def __str__(self) -> str:
        return (
            f"{self.commands} commands in {self.seconds:.0f} s, killed {dict(self.kills)}; states {dict(self.statuses)}; reached the miner "
            f"(times: commands) {dict(self.executions)}; twice {len(self.twice)}, claimed in vain {len(self.claimed_in_vain)}, "
            f"out of order {len(self.out_of_order)}, left open {self.open}"
        )


class Chaos:
    """`miners` at each of two sites, one polled by the server and one behind an agent, `rounds` commands for each of them."""

    def __init__(self, folder: Path, environment: dict[str, str], *, miners: int, rounds: int, ttl_s: int, seed: int = 1) -> None:
        self.folder = folder
        self.environment = environment | LIMITS
        self.rounds, self.ttl_s = rounds, ttl_s
        self.chance = random.Random(seed)
        self.kills: Counter[str] = Counter()
        port = free_port()
        places = [(way, number) for way in ("server", "agent") for number in range(miners)]
        self.specs = [
            MinerSpec(miner_id=f"{way}-{number}", host=_host(index), port=port, model=MODEL, seed=index)
            for index, (way, number) in enumerate(places)
        ]
        self.fleet = SimulatedFleet(self.specs, latency=(0.0, 0.02))
        self.server_site = Site.objects.create(code="polled", name="Polled")
        self.agent_site = Site.objects.create(code="collected", name="Collected", collection=Site.Collection.COLLECTOR)
        _, self.key = CollectorKey.objects.generate(site=self.agent_site, name="agent")
        self.miners = Miner.objects.bulk_create(
            Miner(site=self._site_of(spec), miner_id=spec.miner_id, ip_address=spec.host, port=spec.port) for spec in self.specs
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, web: WebServer, *, kill_every_s: float, within_s: float, kill_for_s: float | None = None) -> Verdict:
        """Let all be carried out amid kills, and hold the miners' log against the books when nothing is open any more.

        After `kill_for_s` nothing is killed any more: a slow machine gets the rest of `within_s` to come to an end.
        """
        begun = time.monotonic()
        with self.fleet, self._running(web):
            next_kill = time.monotonic() + kill_every_s
            while time.monotonic() < begun + within_s and _retried(lambda: MinerCommand.objects.open().exists()):
                self._revive(web)
                if next_kill < time.monotonic() < begun + (kill_for_s or within_s):
                    self._kill_one(web)
                    next_kill = time.monotonic() + self.chance.uniform(0.5, 1.5) * kill_every_s
                time.sleep(0.1)
        return self._verdict(time.monotonic() - begun)

    def ask(self) -> None:
        now = timezone.now()
        for number in range(self.rounds):
            for miner in self.miners:
                params = {"pool_url": _pool(miner.miner_id, number), "pool_user": "farm.one"}
                order = Order(command=CommandType.SET_POOL, params=params, ttl_s=self.ttl_s)
                dispatch.create_command(miner, order, requested_by=None, now=now + timedelta(milliseconds=number))

    def _site_of(self, spec: MinerSpec) -> Site:
        return self.server_site if spec.miner_id.startswith("server") else self.agent_site

    @contextmanager
    def _running(self, web: WebServer) -> Iterator[None]:
        try:
            self._revive(web)
            yield
        finally:
            for process in self.processes.values():
                process.kill()
                process.wait()

    def _revive(self, web: WebServer) -> None:
        programs = {
            "runner 1": ["tests.commands.chaos_runner", self.server_site.code],
            "runner 2": ["tests.commands.chaos_runner", self.server_site.code],
            "agent": ["tests.commands.chaos_agent", web.url, self.key, str(self.specs[0].port), str(self.folder / "agent.journal")],
        }
        for name, arguments in programs.items():
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                with (self.folder / f"{name.partition(' ')[0]}.log").open("ab") as log:
                    self.processes[name] = subprocess.Popen(
                        [sys.executable, "-m", *arguments], cwd=ROOT, env=self.environment, stdout=log, stderr=log
                    )
        if web.pid is None or not psutil.pid_exists(web.pid):
            web.start()

    def _kill_one(self, web: WebServer) -> None:
        name = self.chance.choice([*self.processes, "agent", "web"])
        if name == "web":
            workers = psutil.Process(web.pid).children()
            for worker in self.chance.sample(workers, min(1, len(workers))):
                worker.kill()
        else:
            os.kill(self.processes[name].pid, signal.SIGKILL)
            self.processes[name].wait()
        self.kills[name.partition(" ")[0]] += 1

    def _verdict(self, seconds: float) -> Verdict:
        told = [event for event in self.fleet.control_events if event.command == "addpool"]
        times = Counter(event.parameter.split(",")[0] for event in told)
        commands = _retried(lambda: list(MinerCommand.objects.select_related("miner")))
        verdict = Verdict(commands=len(commands), kills=self.kills, seconds=seconds)
        for command in commands:
            url = command.params["pool_url"]
            verdict.statuses[command.status] += 1
            verdict.executions[times[url]] += 1
            if times[url] > 1:
                verdict.twice.append(url)
            if command.status in SURE and times[url] == 0:
                verdict.claimed_in_vain.append(url)
        by_miner: dict[str, list[int]] = {}
        for event in told:
            by_miner.setdefault(event.miner_id, []).append(_number(event.parameter))
        verdict.out_of_order = [miner for miner, numbers in by_miner.items() if numbers != sorted(numbers)]
        verdict.open = sum(verdict.statuses[status] for status in ("pending", "sent", "executing"))
        return verdict


def _host(index: int) -> str:
    return f"127.0.{60 + index // 250}.{index % 250 + 1}"


def _pool(miner_id: str, number: int) -> str:
    return f"stratum+tcp://n{number}.{miner_id}.example.com:3333"


def _number(parameter: str) -> int:
    return int(parameter.split("://n")[1].partition(".")[0])


def _retried(ask: Callable[[], Any]) -> Any:
    """The database may be one of those that were killed."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except (DatabaseError, InterfaceError):
            if time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(0.2)
