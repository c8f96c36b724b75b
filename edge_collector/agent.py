"""The program put together: who reads, who keeps, who sends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_collector.clock import RoundClock, run_rounds
from edge_collector.config import Config, ConfigError
from edge_collector.crew import Crew
from edge_collector.inventory import Inventory, given_machines
from edge_collector.link import Link
from edge_collector.logs import EventLog
from edge_collector.rounds import Poller, RoundReport
from edge_collector.spool import Spool
from edge_collector.uplink import Uplink

log = EventLog(__name__)

SPOOL_FILE = "spool.sqlite3"
ENDS_WITHIN_S = 10.0
_HOUSEKEEPING_S = 5.0


class Agent:
    """Everything one collector is made of. `run` goes on until `crew.stop` is set; `once` does one round and sends it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.key = config.read_key()
        self.crew = Crew()
        self.spool = open_spool(config)
        self.inventory = Inventory(given_machines(config))
        self.poller = Poller(config, self.inventory)
        self.uplink = Uplink(config, self.spool, link=self.new_link)
        self.clock = RoundClock(config.loop.interval_s, config.loop.jitter_s)
        self.last_round: RoundReport | None = None

    def new_link(self) -> Link:
        return Link(self.config, lambda: self.key)

    def run(self) -> int:
        """Until told to stop; returns the exit code."""
        log.info("started", miners=len(self.inventory), interval_s=self.config.loop.interval_s, waiting=self.spool.depth().records)
        stop = self.crew.stop
        self.crew.start("rounds", lambda: run_rounds(self.clock, self.round, stop))
        self.crew.start("uplink live", lambda: self.uplink.run_live(stop))
        self.crew.start("uplink backlog", lambda: self.uplink.run_backlog(stop))
        self.crew.start("housekeeping", self._keep_house)
        stop.wait()
        return self._end()

    def once(self, *, within_s: float) -> bool:
        """One round, sent with all that waits; whether everything arrived."""
        self.round()
        return self.uplink.drain(within_s=within_s)

    def round(self) -> None:
        """Poll everyone and keep what they said; the uplink is woken with the first of it."""
        self._first_of_round = True
        report = self.poller.round(self._keep)
        self.last_round = report
        log.info("round_done", miners=report.miners, asked=report.asked, online=report.online, ms=round(report.seconds * 1000))

    def _keep(self, lines: list[bytes], first_at: float, last_at: float) -> None:
        self.spool.append(lines, first_at=first_at, last_at=last_at, begins_round=self._first_of_round)
        self._first_of_round = False
        self.uplink.live_bell.ring()

    def _keep_house(self) -> None:
        """Merge what waits, and give back the disk's space, a little at a time."""
        while not self.crew.stop.wait(min(_HOUSEKEEPING_S, self.config.loop.interval_s)):
            while self.spool.merge_some() and not self.crew.stop.is_set():
                pass
            self.spool.give_back_space()

    def _end(self) -> int:
        for bell in (self.uplink.live_bell, self.uplink.backlog_bell):
            bell.ring()
        self.crew.join(within_s=ENDS_WITHIN_S)
        self.uplink.close()
        log.info("stopped", waiting=self.spool.depth().records)
        self.spool.close()
        return 1 if self.crew.is_broken else 0


def open_spool(config: Config) -> Spool:
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = config.spool
    return Spool(
        config.data / SPOOL_FILE,
        max_bytes=settings.max_mb * 1e6,
        max_age_s=settings.max_days * 86_400,
        max_records=config.uplink.max_records,
    )


@contextmanager
def sole_instance(folder: Path) -> Iterator[None]:
    """Two programs on one spool would send everything twice. Raises ConfigError when another one has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigError(
            [f"{folder}: another edge-collector works on this folder; stop it first, or give this one its own [spool] directory."]
        )
    try:
        yield
    finally:
        os.close(lock)
