"""Commands for the miners that this server reaches itself.

Exactly once: a command is leased, then marked as about to be told, and only then a socket is used. Whoever finds the mark without a result
does not tell the miner again: the command is closed as unknown and telemetry judges it. Threads of the command bulkhead do the sockets,
the caller's thread does the database.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from cgminer.actions import Done, carry_out
from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import ActionRefused, MinerError
from commands import dispatch, metrics
from commands.dispatch import Outcome
from commands.models import MinerCommand, MinerCredential
from commands.secrets import SecretUnreadable, unseal
from miners.reach import within_reach
from resilience import failures
from resilience.bulkheads import COMMANDS, bulkhead
from resilience.leases import new_owner
from sites.models import Site

log = structlog.get_logger(__name__)

RUN_S = 40
"""A run begins no command after so many seconds; the minute's schedule takes up what is left."""
RECORD_S = 30
"""So long a result waits for a database that is away; afterwards the command is unknown."""
LEASE_SHARE = 0.75
"""A miner so slow that this much of the lease is over is not told any more: what followed could not be written down in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a thread needs of one command."""

    command: str
    params: Mapping[str, Any]
    address: Address
    password: str | None
    tell_before: float
    """On the monotonic clock."""


@dataclass(slots=True)
class ExecutionReport:
    """What one run came to: how many commands by what was claimed of them."""

    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def taken(self) -> int:
        return self.outcomes.total()

    def __str__(self) -> str:
        return ", ".join(f"{count} {status}" for status, count in sorted(self.outcomes.items())) or "nothing due"


def execute_due(site: Site) -> ExecutionReport:
    """Carry out what is due at `site`, each miner's commands one at a time and in order, until nothing is due or RUN_S are over."""
    run = _Run(site)
    run.work()
    if run.report.taken:
        log.info("commands_executed", site_id=site.code, **run.report.outcomes)
    return run.report


def has_due(site: Site) -> bool:
    return MinerCommand.objects.filter(site=site).executable(timezone.now()).exists()


class _Run:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.runner = new_owner()
        self.pool = bulkhead(COMMANDS)
        self.report = ExecutionReport()
        self.last_start = time.monotonic() + RUN_S
        self.flying: dict[Future[Outcome], MinerCommand] = {}

    def work(self) -> None:
        self._start_due()
        while self.flying:
            done, _ = wait(self.flying, return_when=FIRST_COMPLETED)
            for future in done:
                self._finish(self.flying.pop(future), future.result())
            self._start_due()

    def _start_due(self) -> None:
        free = self.pool.threads - len(self.flying)
        if free < 1 or time.monotonic() > self.last_start:
            return
        try:
            self._start_next(free)
        except (DatabaseError, InterfaceError) as error:
            # What is at the miners now must still be written down: begin nothing more and wait for it.
            if not self.flying:
                raise
            log.warning("command_run_cut_short", site_id=self.site.code, error=str(error))
            self.last_start = 0.0

    def _start_next(self, free: int) -> None:
        leased = dispatch.lease_for_server(self.site, limit=free, now=timezone.now(), runner=self.runner)
        credentials = MinerCredential.objects.of_miners(command.miner for command in leased) if leased else {}
        for command in leased:
            self._start(command, credentials.get(command.miner_id))

    def _start(self, command: MinerCommand, credential: MinerCredential | None) -> None:
        try:
            job = _job(command, credential)
        except (SecretUnreadable, ActionRefused) as error:
            self._finish(command, Outcome(status="rejected", result_code=3, message=str(error)))
            return
        now = timezone.now()
        if dispatch.touch(command, now=now):
            metrics.EXECUTION.labels(command.command).observe((now - command.created_at).total_seconds())
            self.flying[self.pool.submit(_tell, job)] = command

    def _finish(self, command: MinerCommand, outcome: Outcome) -> None:
        self.report.outcomes[outcome.status] += 1
        patience = time.monotonic() + RECORD_S
        while True:
            try:
                dispatch.record_result(command.pk, site=self.site, outcome=outcome, actor=command.leased_by, now=timezone.now())
                return
            except (DatabaseError, InterfaceError):
                if time.monotonic() > patience:
                    raise
            connection.close()
            time.sleep(0.5)


def _job(command: MinerCommand, credential: MinerCredential | None) -> Job:
    """Raises SecretUnreadable, and ActionRefused for a miner nobody knows the address of."""
    miner = command.miner
    if not miner.ip_address:
        raise ActionRefused(f"{miner.miner_id} has no address; enter one to command it from here.")
    return Job(
        command=command.command,
        params={**command.params, **unseal(command.secret_params)},
        address=Address(miner.ip_address, miner.port),
        password=unseal(credential.sealed).get("password") if credential else None,
        tell_before=time.monotonic() + settings.COMMAND_LEASE_S * LEASE_SHARE,
    )


def _tell(job: Job) -> Outcome:
    """Runs in a thread of the bulkhead; what goes wrong becomes the outcome, so that no command is left without one."""
    begun = time.monotonic()
    try:
        address = within_reach(job.address)
        client = MinerClient(address, timeouts=Timeouts(receive_s=settings.POLL_PATIENCE_S), retries=RetryPolicy(attempts=2))
        outcome = _done(carry_out(client, job.command, job.params, password=job.password, tell_before=job.tell_before))
    except MinerError as error:
        outcome = _failed(error)
    except Exception as error:  # a fault of ours must not leave the command without an answer; it is logged with its trace
        log.exception("command_fault", command=job.command, address=str(job.address))
        outcome = Outcome(status="error", result_code=1, message=f"{type(error).__name__} in the server; see its log")
    answer = {**outcome.answer, "duration_ms": round((time.monotonic() - begun) * 1000)}
    return Outcome(status=outcome.status, result_code=outcome.result_code, message=outcome.message, answer=answer)


def _done(done: Done) -> Outcome:
    answer = {"before": dict(done.before), "after": dict(done.after), "firmware": str(done.dialect)}
    return Outcome(status="completed", result_code=0, message=done.message, answer=answer)


def _failed(error: MinerError) -> Outcome:
    failures.count("command", error.error_type)
    answer = {"error_class": type(error).__name__}
    if isinstance(error, ActionRefused) and not error.sent:
        return Outcome(status="rejected", result_code=3, message=str(error), answer=answer)
    if error.sent:
        message = f"{error} The miner may have carried it out: telemetry will tell."
        return Outcome(status="timeout", result_code=1, message=message, answer=answer)
    return Outcome(status="failed", result_code=1, message=f"{error} Nothing was changed.", answer=answer)
