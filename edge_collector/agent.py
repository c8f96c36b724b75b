"""The program put together: who reads, who keeps, who sends, who carries out."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_collector import __version__
from edge_collector.batch import iso, iso_of
from edge_collector.clock import RoundClock, run_rounds
from edge_collector.commands import CommandDesk
from edge_collector.config import Config, ConfigError
from edge_collector.crew import Crew
from edge_collector.inventory import Inventory, given_machines
from edge_collector.journal import Journal
from edge_collector.keys import KeyRing
from edge_collector.link import Link
from edge_collector.logs import EventLog
from edge_collector.outbox import Outbox
from edge_collector.reports import Reporter
from edge_collector.rounds import Poller, RoundReport
from edge_collector.spool import Spool
from edge_collector.uplink import Uplink

log = EventLog(__name__)

SPOOL_FILE = "spool.sqlite3"
STATE_FILE = "state.sqlite3"
ENDS_WITHIN_S = 10.0
_HOUSEKEEPING_S = 5.0


class Agent:
    """Everything one collector is made of. `run` goes on until `crew.stop` is set; `once` does one round and sends it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.keys = KeyRing(config)
        self.crew = Crew()
        self.spool = open_spool(config)
        self.outbox = Outbox(self.spool)
        self.journal = Journal(config.data / STATE_FILE)
        self.inventory = Inventory(given_machines(config))
        self.poller = Poller(config, self.inventory)
        self.uplink = Uplink(config, self.spool, link=self.new_link)
        self.reporter = Reporter(config, self.outbox, self.keys, link=self.new_link(), health=self.health)
        self.desk = CommandDesk(
            config, self.inventory, self.journal, poll_link=self.new_link(), answer_link=self.new_link(), stop=self.crew.stop
        )
        self.clock = RoundClock(config.loop.interval_s, config.loop.jitter_s)
        self.last_round: RoundReport | None = None
        self.rounds = 0
        self.started_at = iso(datetime.now(UTC))

    def new_link(self) -> Link:
        return Link(self.config, lambda: self.keys.current)

    def run(self) -> int:
        """Until told to stop; returns the exit code."""
        waiting = self.spool.depth().records
        log.info("started", miners=len(self.inventory), interval_s=self.config.loop.interval_s, waiting=waiting)
        self.outbox.put("started", f"edge-collector {__version__} started", details=self._start_details(waiting))
        stop = self.crew.stop
        self.crew.start("rounds", lambda: run_rounds(self.clock, self.round, stop))
        self.crew.start("uplink live", lambda: self.uplink.run_live(stop))
        self.crew.start("uplink backlog", lambda: self.uplink.run_backlog(stop))
        self.crew.start("reports", lambda: self.reporter.run(stop))
        self.crew.start("housekeeping", self._keep_house)
        if self.config.commands.enabled:
            self.crew.start("command polls", lambda: self.desk.run_polls(stop))
            self.crew.start("command answers", lambda: self.desk.run_answers(stop))
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
        self.rounds += 1
        log.info("round_done", miners=report.miners, asked=report.asked, online=report.online, ms=round(report.seconds * 1000))

    def health(self) -> dict[str, Any]:
        """How this collector is, in the words of the heartbeat."""
        depth = self.spool.depth()
        report = self.last_round
        return {
            "version": __version__,
            "started_at": self.started_at,
            "sent_at": iso_of(time.time()),
            "interval_seconds": self.config.loop.interval_s,
            "miners": len(self.inventory),
            "poll_duration_ms": round(report.seconds * 1000) if report else None,
            "spool_records": depth.records,
            "spool_bytes": depth.bytes,
            "spool_oldest_at": None if depth.oldest_at is None else iso_of(depth.oldest_at),
            "last_acked_seq": self.spool.last_acked_seq,
            "commands_open": self.journal.open_count(),
        }

    def _start_details(self, waiting: int) -> dict[str, Any]:
        damaged = [str(path.name) for path in (self.spool.damaged, self.journal.damaged) if path]
        return {"version": __version__, "next_seq": self.spool.next_seq, "waiting": waiting, **({"damaged": damaged} if damaged else {})}

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
        if self.crew.is_broken:
            return 1
        self.outbox.put("stopped", f"edge-collector {__version__} stopped")
        self.reporter.send_events()
        for part in (self.uplink, self.reporter, self.desk):
            part.close()
        log.info("stopped", waiting=self.spool.depth().records)
        return 0


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
        words = "another edge-collector works on this folder; stop it first, or give this one its own [spool] directory."
        raise ConfigError([f"{folder}: {words}"])
    try:
        yield
    finally:
        os.close(lock)
