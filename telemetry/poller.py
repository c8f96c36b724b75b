"""One poll round of a site: read every miner, write what came while the round still runs.

The round has a thread of the collection pool for sockets and parsing; the caller's thread does the database. One round of a site at a time,
by a job lease, whoever asks: the schedule, a second machine, or a person at the command line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from cgminer.address import Address
from cgminer.client import RetryPolicy, Timeouts
from cgminer.poll import Outcome, RoundPolicy, Target, due_this_round
from cgminer.poll.mailbox import Mailbox
from cgminer.poll.round import Round
from miners.identity import Identity, fill_identities, follow_ports
from miners.matching import ModelMatcher, assign_models
from miners.models import Miner
from miners.reach import refusal
from resilience import failures
from resilience.bulkheads import COLLECTION, bulkhead
from resilience.leases import job_lease
from sites.models import Site
from telemetry import poll_metrics
from telemetry.busy import DatabaseBusy
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from telemetry.poll_plan import WHOLE, Shard, job_name, round_number
from telemetry.poll_report import PollReport
from telemetry.poll_state import Change, Memory, store_changes, tell_of_offline
from telemetry.polled import UNREADABLE, reading_of
from telemetry.raw_replies import NEW_AT_ONCE, keep_this_round, store_replies

log = structlog.get_logger(__name__)

BATCH = 2_000
FLUSH_S = 0.5
"""A smaller batch is written when nothing came for this long."""
MOST_UNREAD = 3 * BATCH
"""Outcomes waiting to be stored at which no further miner is asked."""
STORE_GRACE_S = 10
"""Seconds after the round's deadline for storing what has come; a database slower than that loses the rest of this round."""
LEASE_MARGIN_S = 20
"""More than the grace and the last batch together."""


def poll_site(site: Site, *, now: datetime, shard: Shard = WHOLE, enqueued_at: datetime | None = None) -> PollReport:
    """Poll the miners of `site` (or of one part of it) once and store every reading.

    Raises LeaseTaken when a round of this site is under way, or has begun since `enqueued_at`.
    """
    lease_s = settings.POLL_DEADLINE_S + LEASE_MARGIN_S
    with job_lease(job_name(site.code, shard), ttl_s=lease_s, enqueued_at=enqueued_at) as lease:
        with _failure_told(site):
            report = _PollRound(site, now=now, shard=shard).run()
        lease.result = str(report)
    return report


@dataclass(slots=True)
class _Polled:
    """A miner of the inventory in this round."""

    pk: int
    miner_id: str
    address: Address
    identity: Identity
    has_model: bool
    memory: Memory


class _PollRound:
    def __init__(self, site: Site, *, now: datetime, shard: Shard) -> None:
        # Whoever is polled was in the inventory; one that was deleted since must not come back through ingest.
        self.site = copy(site)
        self.site.register_unknown_miners = False
        self.report = PollReport(site_id=site.code, shard=str(shard), started_at=now)
        self.begun = time.monotonic()
        inventory = _inventory(site, shard)
        self.number = number = round_number(now, site.interval_seconds)
        self.miners = {miner.pk: miner for miner in inventory if due_this_round(miner.memory.failures, number)}
        self.report.skipped = len(inventory) - len(self.miners)
        self.matcher: ModelMatcher | None = None

    def run(self) -> PollReport:
        report = self.report
        with _polling([self._target(miner) for miner in self.miners.values()]) as mailbox:
            for outcomes in mailbox.batches(enough=BATCH, within_s=FLUSH_S):
                self._store([outcome for outcome in outcomes if not outcome.cut_off])
                if self._elapsed_ms() > (settings.POLL_DEADLINE_S + STORE_GRACE_S) * 1000:
                    break
        report.not_reached = len(self.miners) - report.polled
        report.duration_ms = self._elapsed_ms()
        self._log()
        return report

    def _target(self, miner: _Polled) -> Target:
        memory = miner.memory
        is_new = memory.joined is None and len(self.miners) <= NEW_AT_ONCE
        keep = is_new or keep_this_round(miner.pk, self.number, self.site.interval_seconds)
        return Target(key=miner.pk, address=miner.address, joined=memory.joined, failures=memory.failures, keep_raw=keep)

    def _log(self) -> None:
        report = self.report
        if report.not_reached:
            log.warning("poll_round_cut_short", site_id=report.site_id, shard=report.shard, not_reached=report.not_reached)
        if report.polled and report.errors.total() == report.polled:
            error_type, _ = report.errors.most_common(1)[0]
            message = f"none of {report.polled} miners answers: look at the way there"
            log.error("collection_failed", site_id=report.site_id, error_type=error_type, error_message=message)
        errors = {f"error_{name}": count for name, count in sorted(report.errors.items())}
        log.info(
            "poll_round",
            site_id=report.site_id,
            shard=report.shard,
            polled=report.polled,
            online=report.online,
            offline=report.offline,
            skipped=report.skipped,
            not_reached=report.not_reached,
            **errors,
            duration_ms=round(report.duration_ms),
        )

    def _store(self, outcomes: list[Outcome]) -> None:
        self.report.polled += len(outcomes)
        readings = [reading for outcome in outcomes if (reading := reading_of(outcome, miner_id=self._miner(outcome).miner_id))]
        if readings:
            stored = ingest_readings(self.site, readings, source=Source.POLLER, received_at=timezone.now())
            self.report.stored += stored.processed
            if stored.online:
                self.report.answers_stored_ms = self._elapsed_ms()
        changes = [change for outcome in outcomes if (change := self._change(outcome))]
        store_changes(changes)
        tell_of_offline(changes, site_code=self.site.code)
        store_replies(outcomes)
        self._complete_inventory(outcomes)
        self._count(outcomes)

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self.begun) * 1000

    def _miner(self, outcome: Outcome) -> _Polled:
        return self.miners[int(outcome.target.key)]

    def _change(self, outcome: Outcome) -> Change | None:
        """What the next round should know that this one did not."""
        miner = self._miner(outcome)
        error = outcome.error
        if error is None:
            after = miner.memory.after_success(joined=outcome.joined, at=outcome.finished_at)
        else:
            learn = miner.memory.after_unreadable if error.error_type in UNREADABLE else miner.memory.after_failure
            after = learn(error_type=error.error_type, error_message=str(error)[:500])
        return None if after == miner.memory else Change(miner.pk, miner.miner_id, before=miner.memory, after=after)

    def _complete_inventory(self, outcomes: list[Outcome]) -> None:
        """Learn what the inventory does not know yet: the model, the serial number, the MAC address, the port of a new firmware."""
        reported: dict[int, str] = {}
        identities: dict[int, Identity] = {}
        ports: dict[int, int] = {}
        for outcome in outcomes:
            snapshot = outcome.snapshot
            if snapshot is None:
                continue
            miner = self._miner(outcome)
            if snapshot.model and not miner.has_model:
                reported[miner.pk] = snapshot.model
            learnt = miner.identity.completed(serial_number=snapshot.serial_number, mac_address=snapshot.mac_address)
            if learnt != miner.identity:
                identities[miner.pk] = learnt
            if outcome.found_at:
                ports[miner.pk] = outcome.found_at.port
        if reported:
            self.matcher = self.matcher or ModelMatcher.from_catalogue()
            assign_models(reported, matcher=self.matcher)
        fill_identities(identities)
        if ports:
            follow_ports(ports)

    def _count(self, outcomes: list[Outcome]) -> None:
        report = self.report
        latency = poll_metrics.LATENCY.labels(self.site.code)
        statuses: Counter[str] = Counter()
        for outcome in outcomes:
            if outcome.latency_ms is not None:
                latency.observe(outcome.latency_ms / 1000)
            if outcome.error is None:
                statuses["ok"] += 1
                continue
            statuses[outcome.error.error_type] += 1
            if outcome.error.error_type in UNREADABLE:
                log.warning("miner_unreadable", site_id=self.site.code, miner_id=self._miner(outcome).miner_id, error=str(outcome.error))
        for status, count in statuses.items():
            poll_metrics.POLLS.labels(self.site.code, status).inc(count)
        report.online += statuses.pop("ok", 0)
        for status, count in statuses.items():
            failures.count("miner", status, count)
        report.errors += statuses
        report.offline += sum(count for status, count in statuses.items() if status not in UNREADABLE)


def _inventory(site: Site, shard: Shard) -> list[_Polled]:
    rows = shard.of(Miner.objects.polled(site)).values_list(
        "pk",
        "miner_id",
        "ip_address",
        "port",
        "model_id",
        "serial_number",
        "mac_address",
        "poll_state__consecutive_failures",
        "poll_state__last_error_type",
        "poll_state__last_error_message",
        "poll_state__last_success_at",
        "poll_state__joined_reads",
    )
    return [
        _Polled(
            pk=pk,
            miner_id=miner_id,
            address=Address(host, port),
            identity=Identity(serial, mac),
            has_model=model_id is not None,
            memory=Memory() if failures is None else Memory(failures, error_type, error_message, success_at, joined),
        )
        for pk, miner_id, host, port, model_id, serial, mac, failures, error_type, error_message, success_at, joined in rows.iterator()
    ]


def round_policy() -> RoundPolicy:
    """The patience of a round, from the settings: a first request that may wait long loses no slow miner, so retries can be short."""
    connect_s, send_s, receive_s = settings.POLL_CONNECT_TIMEOUT_S, settings.POLL_SEND_TIMEOUT_S, settings.POLL_RECEIVE_TIMEOUT_S
    return RoundPolicy(
        again_after_s=receive_s,
        timeouts=Timeouts(connect_s=connect_s, send_s=send_s, receive_s=max(receive_s, settings.POLL_PATIENCE_S)),
        retry_timeouts=Timeouts(connect_s=connect_s / 2, send_s=send_s, receive_s=receive_s / 4),
        retries=RetryPolicy(attempts=settings.POLL_ATTEMPTS),
        deadline_s=settings.POLL_DEADLINE_S,
        most_unread=MOST_UNREAD,
    )


@contextmanager
def _failure_told(site: Site) -> Iterator[None]:
    """A round that ends by an error of ours, the database's for the most part, is told of with its site."""
    try:
        yield
    except DatabaseBusy as busy:
        log.error("collection_failed", site_id=site.code, error_type="database", error_message=str(busy)[:300])
        raise
    except (DatabaseError, InterfaceError) as error:
        log.error("collection_failed", site_id=site.code, error_type=type(error).__name__, error_message=str(error).strip()[:300])
        raise


@contextmanager
def _polling(targets: list[Target]) -> Iterator[Mailbox]:
    """A round in a thread of the collection pool, for as long as the block lasts; its outcomes arrive in the mailbox."""
    mailbox = Mailbox()
    polling = Round(targets, policy=round_policy(), deliver=mailbox.deliver, unread=mailbox.unread, refuse=refusal())
    bulkhead(COLLECTION).submit(mailbox.fill, polling.run)
    try:
        yield mailbox
    finally:
        polling.stop()
