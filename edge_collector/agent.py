"""The program put together: who reads, who keeps, who sends, who carries out."""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cgminer.poll import Outcome
from edge_collector import __version__
from edge_collector.batch import iso, iso_of
from edge_collector.clock import RoundClock, run_rounds
from edge_collector.commands import CommandDesk
from edge_collector.config import Config, ConfigError
from edge_collector.crew import Crew
from edge_collector.discovery import Findings, Searcher
from edge_collector.inventory import Machine, given_machines
from edge_collector.journal import Journal
from edge_collector.keys import KeyRing
from edge_collector.link import Link
from edge_collector.listing import Changes, Listing
from edge_collector.logs import EventLog
from edge_collector.memory import Memory
from edge_collector.outbox import Outbox
from edge_collector.reports import Reporter
from edge_collector.rounds import Poller, RoundReport
from edge_collector.safety import Guard
from edge_collector.sightings import learn
from edge_collector.spool import Spool
from edge_collector.status import StatusPage
from edge_collector.store import is_full
from edge_collector.uplink import Uplink

log = EventLog(__name__)

SPOOL_FILE = "spool.sqlite3"
STATE_FILE = "state.sqlite3"
ENDS_WITHIN_S = 10.0
NAMES_TOLD = 20
"""Of each kind in one event: servers take 4,000 letters of details."""
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
        self.memory = Memory(self.journal)
        given = given_machines(config)
        self.inventory = self.memory.recall(given, with_found=bool(config.miners.ranges))
        self.listing = Listing(config, given, self.inventory, tell=self._tell_listing)
        self.poller = Poller(config, self.inventory, look=self._look)
        self.uplink = Uplink(config, self.spool, link=self.new_link)
        self.reporter = Reporter(config, self.outbox, self.keys, link=self.new_link(), health=self.health)
        self.desk = CommandDesk(
            config, self.inventory, self.journal, poll_link=self.new_link(), answer_link=self.new_link(), stop=self.crew.stop
        )
        self.guard = Guard(
            config.safety, self.inventory, self.outbox, self.journal, teller=self.desk.teller, password_of=self.desk.password_of
        )
        self.searcher = Searcher(config, self.inventory, failures=self.poller.failures_of, tell=self._tell_findings, stop=self.crew.stop)
        self.clock = RoundClock(config.loop.interval_s, config.loop.jitter_s)
        self.last_round: RoundReport | None = None
        self.rounds = 0
        self.started_at = iso(datetime.now(UTC))
        self._started = time.time()

    def new_link(self) -> Link:
        return Link(self.config, lambda: self.keys.current)

    def run(self) -> int:
        """Until told to stop; returns the exit code."""
        waiting = self.spool.depth().records
        log.info("started", miners=len(self.inventory), interval_s=self.config.loop.interval_s, waiting=waiting)
        self.outbox.put("started", f"edge-collector {__version__} started", details=self._start_details(waiting))
        stop = self.crew.stop
        page = self._status_page()
        if self.config.miners.ranges:
            self.crew.start("search", self.searcher.run)
        self.crew.start("rounds", lambda: run_rounds(self.clock, self.round, stop))
        self.crew.start("uplink live", lambda: self.uplink.run_live(stop))
        self.crew.start("uplink backlog", lambda: self.uplink.run_backlog(stop))
        self.crew.start("reports", lambda: self.reporter.run(stop))
        self.crew.start("housekeeping", self._keep_house)
        if self.config.commands.enabled:
            self.crew.start("command polls", lambda: self.desk.run_polls(stop))
            self.crew.start("command answers", lambda: self.desk.run_answers(stop))
        # A signal may wake another thread than this one, and its handler runs here alone: so this wait is never a long one.
        while not stop.wait(0.5):
            pass
        if page:
            page.close()
        return self._end()

    def once(self, *, within_s: float) -> bool:
        """One round, sent with all that waits; whether everything arrived. Ranges are searched first when no miner is known."""
        if self.config.miners.ranges and not len(self.inventory):
            self.searcher.search()
        self.round()
        return self.uplink.drain(within_s=within_s)

    def round(self) -> None:
        """Poll everyone and keep what they said; the uplink is woken with the first of it."""
        self.listing.look()
        self._uploads = 0
        report = self.poller.round(self._keep)
        self.last_round = report
        self.rounds += 1
        # What a minute of live readings takes of the server's allowance is not for the backlog; one round more, as rounds jitter.
        self.uplink.pace.keep_for_live(self._uploads * (math.ceil(60 / self.config.loop.interval_s) + 1))
        self.guard.end_of_round()
        self.memory.save(self.inventory)
        log.info("round_done", miners=report.miners, asked=report.asked, online=report.online, ms=round(report.seconds * 1000))

    def health(self) -> dict[str, Any]:
        """How this collector is, in the words of the heartbeat."""
        depth = self.spool.depth()
        report = self.last_round
        return {
            "version": __version__,
            "started_at": self.started_at,
            "sent_at": iso_of(time.time()),
            "interval_seconds": max(self.config.uplink.heartbeat_s, self.config.loop.interval_s),
            "miners": len(self.inventory),
            "poll_duration_ms": round(report.seconds * 1000) if report else None,
            "spool_records": depth.records,
            "spool_bytes": depth.bytes,
            "spool_oldest_at": None if depth.oldest_at is None else iso_of(depth.oldest_at),
            "last_acked_seq": self.spool.last_acked_seq,
            "commands_open": self.journal.open_count(),
        }

    def state(self) -> dict[str, Any]:
        """Everything that the status page and /metrics tell."""
        depth, sent, report = self.spool.depth(), self.uplink.state, self.last_round
        now = time.time()
        return {
            **self.health(),
            "url": self.config.server.url,
            "site_id": self.config.server.site_id,
            "device_id": self.config.server.device_id,
            "running_s": now - self._started,
            "online": report.online if report else None,
            "rounds": self.rounds,
            "rounds_skipped": self.clock.skipped,
            "spool_held": depth.held,
            "spool_lost": self.spool.lost_records,
            "spool_oldest_s": None if depth.oldest_at is None else max(0.0, now - depth.oldest_at),
            "uploads": dict(sent.uploads),
            "records_sent": sent.records,
            "records_refused": sent.refused_records,
            "bytes_sent": sent.bytes,
            "last_success_at": sent.last_success_at,
            "problem": sent.problem,
            "command_outcomes": dict(self.desk.outcomes),
            "events_waiting": self.outbox.count(),
            "clock_offset_ms": self.reporter.clock_offset_ms,
            "faults": dict(self.crew.faults),
        }

    def _status_page(self) -> StatusPage | None:
        """None when it is switched off, or its port taken: readings matter more than the page about them."""
        if not self.config.status.enabled:
            return None
        try:
            return StatusPage(self.config.status, self.state, folder=self.config.data)
        except OSError as error:
            log.error("no_status_page", port=self.config.status.port, reason=str(error), remedy="set another [status] port")
            return None

    def _look(self, machine: Machine, outcome: Outcome, is_stranger: bool) -> None:
        moved = learn(self.inventory, machine, outcome, is_stranger=is_stranger, failures=self.poller.failures_of)
        if moved:
            self.poller.forget(moved)
            self.outbox.put("discovery", f"{moved} was found again at another address", miner_id=moved)
        if outcome.snapshot is not None and not is_stranger:
            self.guard.look(machine.miner_id, outcome.snapshot)

    def _tell_findings(self, findings: Findings) -> None:
        for name in (*findings.moved, *findings.displaced):
            self.poller.forget(name)
        self.memory.save(self.inventory)
        changed = {name: getattr(findings, name)[:NAMES_TOLD] for name in ("new", "moved", "displaced") if getattr(findings, name)}
        if changed:
            counts = ", ".join(f"{len(getattr(findings, name))} {name}" for name in changed)
            self.outbox.put("discovery", f"the search of the ranges: {counts}", details=changed)

    def _tell_listing(self, changes: Changes) -> None:
        if changes.problems:
            self.outbox.put(
                "configuration",
                "the changed list of miners has mistakes and was not taken",
                details={"problems": changes.problems[:NAMES_TOLD]},
            )
            return
        self.memory.note_given(self.listing.given)
        for name in (*changes.changed, *changes.removed):
            self.poller.forget(name)
        names = {name: getattr(changes, name)[:NAMES_TOLD] for name in ("added", "changed", "removed") if getattr(changes, name)}
        counts = ", ".join(f"{len(getattr(changes, name))} {name}" for name in names) or "nothing new"
        self.outbox.put("configuration", f"the changed list of miners was taken: {counts}", details=names)

    def _start_details(self, waiting: int) -> dict[str, Any]:
        damaged = [str(path.name) for path in (self.spool.damaged, self.journal.damaged) if path]
        return {"version": __version__, "next_seq": self.spool.next_seq, "waiting": waiting, **({"damaged": damaged} if damaged else {})}

    def _keep(self, lines: list[bytes], first_at: float, last_at: float) -> None:
        self._uploads += self.spool.append(lines, first_at=first_at, last_at=last_at, begins_round=self._uploads == 0)
        self.uplink.live_bell.ring()

    def _keep_house(self) -> None:
        """Merge what waits, and give back the disk's space, a little at a time."""
        while not self.crew.stop.wait(min(_HOUSEKEEPING_S, self.config.loop.interval_s)):
            try:
                while self.spool.merge_some() and not self.crew.stop.is_set():
                    pass
                self.spool.give_back_space()
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise  # a full disk is the spool's to see to, with the next round

    def _end(self) -> int:
        for bell in (self.uplink.live_bell, self.uplink.backlog_bell):
            bell.ring()
        self.crew.join(within_s=ENDS_WITHIN_S)
        if self.crew.is_broken:
            return 1
        self.outbox.put("stopped", f"edge-collector {__version__} stopped")
        if not self.uplink.state.problem:
            self.reporter.send_events()
        log.info("stopped", waiting=self.spool.depth().records)
        return 0

    def close(self) -> None:
        """Connections and threads go; what is on disk stays."""
        for part in (self.uplink, self.reporter, self.desk, self.guard, self.spool, self.journal):
            part.close()


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
