"""Brings what the spool holds to the server: live readings at once, the backlog behind them, on connections of their own.

    uplink = Uplink(config, spool, link=lambda: Link(config, key))
    uplink.send_live()                      # one attempt each, for tests and `once`
    uplink.run_live(stop), uplink.run_backlog(stop)     # threads of the program

A batch leaves the spool only after 200 with JSON that says `success: true` and counts as many records as were sent.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from edge_collector.answers import Answer, Meaning, read_answer
from edge_collector.batch import Batch, upload_body
from edge_collector.bell import Bell
from edge_collector.config import Config
from edge_collector.link import Link, LinkError
from edge_collector.logs import EventLog
from edge_collector.pace import Backoff, Pace
from edge_collector.spool import Spool

log = EventLog(__name__)

UPLOAD = "/api/edge/v1/telemetry/ingest"
REFUSED_AGAIN_S = 300.0
"""A batch that the server refuses is offered again after so long, then after twice as long, and so on."""
_BODY = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip", "X-Upload-Mode": "raw"}


class Sent(StrEnum):
    """What one attempt came to."""

    NOTHING = "nothing"
    """There was nothing to send, or its time has not come."""
    DONE = "done"
    PUT_ASIDE = "put aside"
    """Split or refused: the next one can be tried at once."""
    FAILED = "failed"


@dataclass(slots=True)
class UplinkState:
    """For the status page and /metrics. Times are Unix seconds."""

    uploads: Counter[str] = field(default_factory=Counter)
    """Attempts by what they came to."""
    records: int = 0
    refused_records: int = 0
    bytes: int = 0
    last_success_at: float | None = None
    problem: str = ""
    """Why the last attempt failed, in words; empty after a success."""
    problem_since: float | None = None


class Uplink:
    """`send_…` make one attempt; `run_…` go on until `stop`. Live and backlog may run in threads of their own."""

    def __init__(self, config: Config, spool: Spool, *, link: Callable[[], Link], pace: Pace | None = None) -> None:
        self._config = config
        self._spool = spool
        self._live, self._backlog = link(), link()
        self.pace = pace or Pace()
        self.state = UplinkState()
        self._counting = threading.Lock()
        self.live_bell, self.backlog_bell = Bell(), Bell()

    def send_live(self) -> Sent:
        if self.pace.wait_of_live() > 0:
            return Sent.NOTHING
        return self._send(self._spool.take_live(), self._live)

    def send_backlog(self) -> Sent:
        if self.pace.wait_of_backlog() > 0:
            return Sent.NOTHING
        return self._send(self._spool.take_backlog(), self._backlog)

    def run_live(self, stop: threading.Event) -> None:
        """Wakes with each round and, after a failure, by itself; a success wakes the backlog."""
        self._run(stop, self.send_live, self.live_bell, self.pace.wait_of_live, after_success=self.backlog_bell.ring)

    def run_backlog(self, stop: threading.Event) -> None:
        self._run(stop, self.send_backlog, self.backlog_bell, self.pace.wait_of_backlog, after_success=lambda: None)

    def drain(self, *, within_s: float) -> bool:
        """Send all there is, live first; whether nothing is left after at most so long."""
        ends = time.monotonic() + within_s
        backoff = self._new_backoff()
        while self._spool.depth().records and time.monotonic() < ends:
            sent = self.send_live()
            if sent is Sent.NOTHING:
                sent = self.send_backlog()
            if sent in (Sent.FAILED, Sent.NOTHING):
                time.sleep(min(max(0.0, ends - time.monotonic()), backoff.failed()))
        return self._spool.depth().records == 0

    def close(self) -> None:
        self._live.close()
        self._backlog.close()

    def _run(
        self, stop: threading.Event, send: Callable[[], Sent], bell: Bell, pause: Callable[[], float], *, after_success: Callable[[], None]
    ) -> None:
        backoff = self._new_backoff()
        while not stop.is_set():
            sent = send()
            if sent is Sent.FAILED:
                # A new round does not shorten this wait: the server is no better for it.
                stop.wait(backoff.failed())
            elif sent is Sent.NOTHING:
                bell.wait(max(pause(), 0.05) if pause() > 0 else self._config.uplink.backoff_max_s)
            else:
                backoff.succeeded()
                after_success()

    def _new_backoff(self) -> Backoff:
        return Backoff(self._config.uplink.backoff_s, min(self._config.uplink.backoff_max_s, max(1.0, self._config.loop.interval_s)))

    def _send(self, batch: Batch | None, link: Link) -> Sent:
        if batch is None:
            return Sent.NOTHING
        try:
            sent = self._attempt(batch, link)
        except BaseException:
            self._spool.put_back(batch)
            raise
        with self._counting:
            self.state.uploads[str(sent)] += 1
        return sent

    def _attempt(self, batch: Batch, link: Link) -> Sent:
        body = upload_body(batch, self._config.server, epoch=self._spool.epoch)
        started = time.monotonic()
        try:
            reply = link.post(UPLOAD, body, headers=_BODY)
        except LinkError as error:
            self._spool.put_back(batch)
            self._failed(str(error), kind=error.kind)
            return Sent.FAILED
        self.pace.learn(reply.headers)
        answer = read_answer(reply)
        if answer.meaning is Meaning.ACCEPTED and _counts(answer, batch):
            self._spool.acknowledge(batch)
            self._succeeded(batch, answer, size=len(body), seconds=time.monotonic() - started)
            return Sent.DONE
        return self._not_taken(batch, answer)

    def _not_taken(self, batch: Batch, answer: Answer) -> Sent:
        if answer.meaning is Meaning.SPLIT and self._spool.split(batch):
            log.info("upload_split", records=batch.records, answer=answer.words)
            return Sent.PUT_ASIDE
        if answer.meaning in (Meaning.REFUSED, Meaning.SPLIT):
            self._spool.refuse(batch, again_in_s=REFUSED_AGAIN_S)
            log.error("upload_refused", records=batch.records, seq_start=batch.seq_start, seq_end=batch.seq_end, answer=answer.words)
            return Sent.PUT_ASIDE
        self._spool.put_back(batch)
        if answer.retry_after_s is not None:
            self.pace.close_for(answer.retry_after_s)
        words = answer.words if answer.meaning is not Meaning.ACCEPTED else "the server counted other records than were sent"
        self._failed(words, kind=str(answer.meaning))
        return Sent.FAILED

    def _succeeded(self, batch: Batch, answer: Answer, *, size: int, seconds: float) -> None:
        errors = answer.document.get("errors")
        refused = len(errors) if isinstance(errors, list) else 0
        with self._counting:
            state = self.state
            state.records += batch.records
            state.refused_records += refused
            state.bytes += size
            state.last_success_at, state.problem, state.problem_since = time.time(), "", None
        log.info("uploaded", records=batch.records, seq_start=batch.seq_start, bytes=size, ms=round(seconds * 1000), refused=refused)
        if refused:
            log.warning("records_refused", count=refused, first=errors[0] if isinstance(errors, list) else "")

    def _failed(self, words: str, *, kind: str) -> None:
        with self._counting:
            if words != self.state.problem:
                log.warning("upload_failed", kind=kind, reason=words)
            if not self.state.problem:
                self.state.problem_since = time.time()
            self.state.problem = words


def _counts(answer: Answer, batch: Batch) -> bool:
    """An answer that counts other records is not about this body, or not about all of it."""
    received = answer.document.get("received")
    return received is None or received == batch.records
