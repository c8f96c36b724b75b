"""The one door out: everything that changes a command's status.

States: pending → sent (leased) → completed | failed | expired | cancelled; "executing" when an agent says so. Each transition is one
conditional update, and each is written to the command's event log in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django_q.tasks import async_task

from commands import metrics
from commands.approvals import rules_that_apply
from commands.capabilities import refuse_impossible
from commands.ledger import note, record
from commands.models import OPEN_STATUSES, SERVER, CommandBatch, CommandStatus, MinerCommand, MinerCommandQuerySet, Verification
from commands.params import InvalidCommand, checked
from commands.secrets import seal
from miners.models import Miner
from sites.models import Site

log = structlog.get_logger(__name__)

EXECUTE_TASK = "commands.tasks.execute_site_commands"
MAX_TTL_S = 7 * 86_400
RESULT_STATUSES = {
    "completed": CommandStatus.COMPLETED,
    "success": CommandStatus.COMPLETED,
    "succeeded": CommandStatus.COMPLETED,
    "ok": CommandStatus.COMPLETED,
    "skipped": CommandStatus.COMPLETED,
    "failed": CommandStatus.FAILED,
    "failure": CommandStatus.FAILED,
    "error": CommandStatus.FAILED,
    "timeout": CommandStatus.FAILED,
    "rejected": CommandStatus.FAILED,
    "executing": CommandStatus.EXECUTING,
    "running": CommandStatus.EXECUTING,
}
"""What agents call an outcome. `skipped` is a command that was executed before and whose first answer was lost."""

DONE_CODES = (0, 2)
"""Result codes of a command that was carried out: 0 now, 2 before (1 failed, 3 rejected)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator asks of miners. `ttl_s` seconds after `now` an unanswered command expires."""

    command: str
    params: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    reason: str = ""
    ttl_s: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What whoever carried a command out says of it: a claim, kept as it came."""

    status: str
    result_code: int | None = None
    message: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)


def create_command(miner: Miner, order: Order, *, requested_by: AbstractBaseUser | None, now: datetime) -> MinerCommand:
    """Store one command. With an idempotency key, the same request again returns the command it made."""
    return create_commands([miner], order, requested_by=requested_by, now=now)[0]


def create_commands(
    miners: Sequence[Miner],
    order: Order,
    *,
    requested_by: AbstractBaseUser | None,
    now: datetime,
    batch: CommandBatch | None = None,
) -> list[MinerCommand]:
    """Store the order for each of `miners`, all or none. Raises InvalidCommand, also for what a miner's firmware cannot do."""
    if order.idempotency_key and (earlier := _already_asked(miners, order.idempotency_key)):
        return earlier
    refuse_impossible(miners, order.command, order.params)
    if batch is None and rules_that_apply(miners, order.command):
        raise InvalidCommand("command", "A rule of the site wants a second person's approval: ask for it as a batch.")
    commands = [_command(miner, order, requested_by=requested_by, now=now, batch=batch) for miner in miners]
    try:
        with transaction.atomic():
            MinerCommand.objects.bulk_create(commands, batch_size=1_000)
            record(commands, CommandStatus.PENDING, actor=actor_name(requested_by), message=_asked(order), now=now)
            if batch is None:
                wake_executors(miner.site_id for miner in miners)
    except IntegrityError:
        # The same request arrived twice at the same moment: the other one was stored.
        earlier = _already_asked(miners, order.idempotency_key or "")
        if not earlier:
            raise
        return earlier
    log.info("command_created", command=order.command, miner_count=len(commands), requested_by=actor_name(requested_by))
    return commands


def ttl_of(order: Order) -> int:
    """Seconds after which the order's commands expire unanswered. Raises InvalidCommand."""
    ttl_s: int = settings.COMMAND_TTL_S if order.ttl_s is None else order.ttl_s
    if not 1 <= ttl_s <= MAX_TTL_S:
        raise InvalidCommand("ttl_s", f"ttl_s must be from 1 to {MAX_TTL_S} seconds.")
    return ttl_s


def release(commands: Sequence[MinerCommand], *, now: datetime, ttl_s: int) -> None:
    """Let go commands that their batch held back; their time to live begins."""
    with transaction.atomic():
        held = MinerCommand.objects.filter(pk__in=[command.pk for command in commands], is_released=False)
        held.update(is_released=True, expires_at=now + timedelta(seconds=ttl_s))
        note(commands, CommandStatus.PENDING, actor="system", message="released", now=now)
        wake_executors(command.site_id for command in commands)


def lease_commands(site: Site, *, limit: int, now: datetime, leased_by: str, zone: str | None = None) -> list[MinerCommand]:
    """Hand out what is due at `site`, each command leased for COMMAND_LEASE_S; an unanswered one is offered again under its id.

    `zone` leaves out the miners of other zones, not those without one.
    """
    expire_due(now, site=site)
    due = MinerCommand.objects.filter(site=site).offerable(now)
    if zone:
        due = due.filter(miner__zone__in=["", zone])
    return _lease_first(due, limit=limit, now=now, leased_by=leased_by)


def lease_for_server(site: Site, *, limit: int, now: datetime, runner: str) -> list[MinerCommand]:
    """What this server carries out next at `site`, leased to its `runner`; each is still to be marked by `touch`."""
    expire_due(now, site=site)
    due = MinerCommand.objects.filter(site=site).executable(now)
    return _lease_first(due, limit=limit, now=now, leased_by=SERVER + runner)


def touch(command: MinerCommand, *, now: datetime) -> bool:
    """Write down that the miner is about to be told, before it is: from here on nobody tells it again. False when the lease is lost."""
    with transaction.atomic():
        touched = MinerCommand.objects.filter(
            pk=command.pk, status=CommandStatus.SENT, deliveries=command.deliveries, leased_until__gt=now, touched_at__isnull=True
        ).update(status=CommandStatus.EXECUTING, touched_at=now)
        if touched:
            command.status, command.touched_at = CommandStatus.EXECUTING, now
            record([command], CommandStatus.EXECUTING, actor=command.leased_by, message="telling the miner", now=now)
    return bool(touched)


def record_result(command_id: UUID, *, site: Site, outcome: Outcome, actor: str, now: datetime) -> MinerCommand:
    """Take what is said of a command of `site`. Repeats change nothing; what comes after the end is kept as evidence only.

    Raises MinerCommand.DoesNotExist for another site's command and InvalidCommand for a status nobody knows.
    """
    status = _meant(outcome)
    with transaction.atomic():
        command = MinerCommand.objects.select_for_update(of=("self",)).select_related("miner").get(pk=command_id, site=site)
        if command.status not in OPEN_STATUSES:
            _keep_late_result(command, outcome, status, actor=actor, now=now)
            return command
        _apply(command, outcome, status, now=now)
        record([command], status, actor=actor, message=_claim(outcome), now=now)
    log.info("command_result", command_id=str(command.pk), command=command.command, status=status, claimed=outcome.status)
    return command


def record_verification(command: MinerCommand, verification: Verification, *, evidence: Mapping[str, Any], now: datetime) -> None:
    """Store what telemetry proves of a command, once; the claim beside it stays as it was."""
    with transaction.atomic():
        judged = MinerCommand.objects.filter(pk=command.pk, verified_at__isnull=True).update(
            verification=verification, evidence=dict(evidence), verified_at=now
        )
        if judged:
            note([command], CommandStatus(command.status), actor="telemetry", message=f"judged {verification}", now=now)
    if judged:
        metrics.JUDGED.labels(command.command, str(verification)).inc()
        if verification == Verification.VERIFIED and "seconds" in evidence:
            metrics.VERIFIED_AFTER.labels(command.command).observe(evidence["seconds"])
        log.info("command_judged", command_id=str(command.pk), command=command.command, verification=str(verification))


def cancel(commands: QuerySet[MinerCommand], *, actor: str, now: datetime) -> int:
    """Cancel those of `commands` that were not handed out yet; returns how many. One at a miner cannot be called back."""
    return _close(commands.filter(status=CommandStatus.PENDING), CommandStatus.CANCELLED, actor=actor, message="cancelled", now=now)


def expire_due(now: datetime, *, site: Site | None = None) -> int:
    """Close open commands whose time is over, and those this server was telling a miner when it stopped; returns how many."""
    commands = MinerCommand.objects.filter(site=site) if site else MinerCommand.objects.all()
    closed = 0
    for ended, message in (
        (commands.lost(now), "the server stopped while it told the miner: whether it was carried out is unknown"),
        (commands.overdue(now).filter(deliveries=0), "expired before it was handed out"),
        (commands.overdue(now).filter(deliveries__gt=0), "expired without an answer: whether it reached the miner is unknown"),
    ):
        if ended.exists():
            closed += _close(ended, CommandStatus.EXPIRED, actor="system", message=message, now=now)
    return closed


def bring_back_leases(now: datetime) -> int:
    """Leases longer than any lease is were given by a clock that ran ahead. They are over: the commands are offered again. How many."""
    longest = now + 2 * timedelta(seconds=settings.COMMAND_LEASE_S)
    return MinerCommand.objects.open().filter(leased_until__gt=longest).update(leased_until=now)


def wake_executors(site_ids: Iterable[int]) -> None:
    """Have the cluster carry out at once, after the commit, what is due at those of the sites whose miners this server reaches."""
    for code in Site.objects.polled().filter(pk__in=set(site_ids)).values_list("code", flat=True):
        transaction.on_commit(partial(async_task, EXECUTE_TASK, code, group="commands", task_name=f"commands {code}"), robust=True)


def actor_name(user: AbstractBaseUser | None) -> str:
    return user.get_username() if user else "system"


def _command(
    miner: Miner, order: Order, *, requested_by: AbstractBaseUser | None, now: datetime, batch: CommandBatch | None
) -> MinerCommand:
    params, secrets = checked(order.command, order.params, model=miner.model)
    return MinerCommand(
        site_id=miner.site_id,
        miner=miner,
        command=order.command,
        params=params,
        secret_params=seal(secrets),
        priority=order.priority,
        reason=order.reason,
        requested_by_id=requested_by.pk if requested_by else None,
        batch=batch,
        is_released=batch is None,
        idempotency_key=order.idempotency_key or None,
        created_at=now,
        expires_at=now + timedelta(seconds=ttl_of(order)),
    )


def _meant(outcome: Outcome) -> CommandStatus:
    """The state an outcome stands for; a word nobody knows is read by its result code."""
    status = RESULT_STATUSES.get(outcome.status.strip().lower())
    if status is None and outcome.result_code is not None:
        status = CommandStatus.COMPLETED if outcome.result_code in DONE_CODES else CommandStatus.FAILED
    if status is None:
        raise InvalidCommand("status", f"Unknown status “{outcome.status[:50]}”. Known: {', '.join(sorted(RESULT_STATUSES))}.")
    return status


def _already_asked(miners: Sequence[Miner], idempotency_key: str) -> list[MinerCommand]:
    return list(MinerCommand.objects.filter(idempotency_key=idempotency_key, miner__in=miners).select_related("miner", "site", "batch"))


def _lease_first(due: MinerCommandQuerySet, *, limit: int, now: datetime, leased_by: str) -> list[MinerCommand]:
    """Lease the first command of each miner in `due`, at most `limit`."""
    chosen = dict(due.first_of_each_miner()[:limit].values_list("pk", "miner_id"))
    with transaction.atomic():
        # One lease a miner at a time: two runners could otherwise take two commands of one miner in the same moment.
        locked = Miner.objects.filter(pk__in=chosen.values()).select_for_update(skip_locked=True, no_key=True, of=("self",))
        free = set(locked.values_list("pk", flat=True))
        # The conditions are asked again under the lock: another runner may have been faster.
        offers = due.filter(pk__in=[pk for pk, miner in chosen.items() if miner in free]).select_for_update(skip_locked=True, of=("self",))
        return _lease(list(offers.select_related("miner", "site")), now=now, leased_by=leased_by[:100])


def _lease(commands: list[MinerCommand], *, now: datetime, leased_by: str) -> list[MinerCommand]:
    until = now + timedelta(seconds=settings.COMMAND_LEASE_S)
    leased = []
    for command in commands:
        claimed = MinerCommand.objects.filter(pk=command.pk, status=command.status, deliveries=command.deliveries).update(
            status=CommandStatus.SENT,
            leased_until=until,
            leased_by=leased_by,
            deliveries=F("deliveries") + 1,
            sent_at=Coalesce(F("sent_at"), now),
        )
        if not claimed:
            continue  # another runner was faster
        command.status, command.leased_until, command.sent_at = CommandStatus.SENT, until, command.sent_at or now
        command.leased_by = leased_by
        command.deliveries += 1
        leased.append(command)
        record([command], CommandStatus.SENT, actor=leased_by, message=f"handed out, delivery {command.deliveries}", now=now)
    return leased


def _apply(command: MinerCommand, outcome: Outcome, status: CommandStatus, *, now: datetime) -> None:
    """Move an open, locked command to `status` with what was claimed."""
    command.status = status
    command.result_code = outcome.result_code
    command.result_message = outcome.message[:500]
    command.result = dict(outcome.answer)
    if status == CommandStatus.EXECUTING:
        command.leased_until = now + timedelta(seconds=settings.COMMAND_LEASE_S)
    else:
        command.finished_at, command.leased_until = now, None
    # A result for a command that was never handed out under this database still proves that somebody had it.
    command.sent_at = command.sent_at or now
    command.save(update_fields=["status", "result_code", "result_message", "result", "leased_until", "finished_at", "sent_at"])


def _keep_late_result(command: MinerCommand, outcome: Outcome, status: CommandStatus, *, actor: str, now: datetime) -> None:
    """Note what came after the end, once; a repeat of the result that ended the command says nothing new."""
    repeat = command.status == status and command.result_code == outcome.result_code
    message = f"late: {_claim(outcome)}"[:500]
    if repeat or command.events.filter(message=message).exists():
        return
    note([command], CommandStatus(command.status), actor=actor, message=message, now=now)
    log.info("command_late_result", command_id=str(command.pk), status=command.status, claimed=outcome.status)


def _close(commands: QuerySet[MinerCommand], status: CommandStatus, *, actor: str, message: str, now: datetime) -> int:
    with transaction.atomic():
        locked = list(commands.select_for_update(skip_locked=True, of=("self",)).only("pk", "status", "command"))
        MinerCommand.objects.filter(pk__in=[command.pk for command in locked], status__in=OPEN_STATUSES).update(
            status=status, finished_at=now, leased_until=None
        )
        record(locked, status, actor=actor, message=message, now=now)
    if locked:
        log.info("command_closed", status=status, count=len(locked), actor=actor)
    return len(locked)


def _asked(order: Order) -> str:
    return f"asked: {order.reason}" if order.reason else "asked"


def _claim(outcome: Outcome) -> str:
    return f"answered {outcome.status}: {outcome.message}" if outcome.message else f"answered {outcome.status}"
