"""Orders for many miners: a canary first, then paced groups, with a stop of its own when too many go wrong.

A batch's commands exist from the start and are held back; groups of them are released. Their states stay the business of
`commands.dispatch`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from commands import dispatch
from commands.approvals import rules_that_apply
from commands.models import OPEN_STATUSES, SERVER, BatchEvent, CommandBatch, CommandStatus, Verification
from commands.permissions import may_ask
from commands.verification import PROOFS
from miners.models import Miner
from sites.models import Site

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = structlog.get_logger(__name__)

State = CommandBatch.State
TICK_S = 1.0


class NotAllowed(Exception):
    """This person may not do this to the batch now; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How a batch goes out. `megawatts_a_minute` stretches the pauses so that no more power than that is switched in a minute."""

    canary_size: int = 1
    group_size: int = 50
    pause_seconds: int = 30
    stop_above_percent: int = 20
    megawatts_a_minute: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch's commands by where they stand. `bad` are those that count for the automatic stop."""

    total: int
    held: int
    open: int
    completed: int
    failed: int
    expired: int
    cancelled: int
    verified: int
    not_verified: int
    unjudged: int
    bad: int

    @property
    def released(self) -> int:
        return self.total - self.held

    @property
    def done_percent(self) -> float:
        return 100 * (self.total - self.held - self.open) / self.total if self.total else 100.0

    @property
    def bad_percent(self) -> float:
        return 100 * self.bad / self.released if self.released else 0.0


def create_batch(
    miners: Sequence[Miner], order: dispatch.Order, pacing: Pacing, *, requested_by: AbstractBaseUser | None, now: datetime
) -> CommandBatch:
    """Store the order for each of `miners` and let the first group go, or wait for approval where a site's rule wants it.

    With an idempotency key, the same order again returns the batch it made. Raises InvalidCommand.
    """
    earlier = CommandBatch.objects.filter(commands__idempotency_key=order.idempotency_key).first() if order.idempotency_key else None
    if earlier:
        return earlier
    rules = rules_that_apply(miners, order.command)
    with transaction.atomic():
        batch = CommandBatch.objects.create(
            command=order.command,
            reason=order.reason,
            requested_by_id=requested_by.pk if requested_by else None,
            created_at=now,
            state=State.WAITING if rules else State.RUNNING,
            approve_until=now + timedelta(minutes=min(rule.valid_minutes for rule in rules)) if rules else None,
            ttl_seconds=dispatch.ttl_of(order),
            canary_size=pacing.canary_size,
            group_size=pacing.group_size,
            pause_seconds=pacing.pause_seconds,
            stop_above_percent=pacing.stop_above_percent,
            megawatts_a_minute=pacing.megawatts_a_minute,
        )
        commands = dispatch.create_commands(miners, order, requested_by=requested_by, now=now, batch=batch)
        asked = commands[0].batch
        if asked is not None and asked.pk != batch.pk:  # the same order came twice at the same moment: the other one was stored
            batch.delete()
            return asked
        _note(batch, f"asked for {len(miners)} miners", actor=dispatch.actor_name(requested_by), now=now)
    if not rules:
        advance(batch, now=now)
    return batch


def progress_of(batch: CommandBatch) -> Progress:
    held = Q(is_released=False, status=CommandStatus.PENDING)
    counted = {
        "total": Q(),
        "held": held,
        "open": Q(status__in=OPEN_STATUSES) & ~held,
        "completed": Q(status=CommandStatus.COMPLETED),
        "failed": Q(status=CommandStatus.FAILED),
        "expired": Q(status=CommandStatus.EXPIRED),
        "cancelled": Q(status=CommandStatus.CANCELLED),
        "verified": Q(verification=Verification.VERIFIED),
        "not_verified": Q(verification=Verification.NOT_VERIFIED),
        "unjudged": Q(sent_at__isnull=False, verified_at__isnull=True),
        "bad": went_wrong(batch.command),
    }
    totals = batch.commands.aggregate(**{name: Count("pk", filter=condition) for name, condition in counted.items()})
    return Progress(**totals)


def went_wrong(command: str) -> Q:
    """What speaks for a stop. An agent's "failed" counts only once telemetry does not contradict it: some say it of every restart."""
    ended_badly = Q(status__in=[CommandStatus.FAILED, CommandStatus.EXPIRED]) & ~Q(verification=Verification.VERIFIED)
    if command not in PROOFS:
        return ended_badly
    unproved = Q(verified_at__isnull=False) & ~Q(verification=Verification.VERIFIED)
    return unproved | (ended_badly & (Q(leased_by__startswith=SERVER) | Q(sent_at__isnull=True)))


def advance(batch: CommandBatch, *, now: datetime) -> CommandBatch:
    """Do what is due: stop when too much went wrong, release the next group, or end. Returns the batch as it is now."""
    with transaction.atomic():
        batch = CommandBatch.objects.select_for_update(of=("self",)).get(pk=batch.pk)
        if batch.state == State.WAITING and batch.approve_until and batch.approve_until <= now:
            _end(batch, State.STOPPED, "nobody approved it in time", actor="system", now=now)
        elif batch.state == State.RUNNING:
            _go_on(batch, progress_of(batch), now=now)
    return batch


def advance_all(now: datetime) -> int:
    """Let every batch under way go on; returns how many there are."""
    batches = list(CommandBatch.objects.filter(state__in=[State.RUNNING, State.WAITING]))
    for batch in batches:
        advance(batch, now=now)
    return len(batches)


def tend(*, seconds: float, clock: Callable[[], datetime] = timezone.now) -> int:
    """Advance every second for so long, or until no batch is running; returns how many were under way at the end."""
    end = time.monotonic() + seconds
    under_way = advance_all(clock())
    while CommandBatch.objects.filter(state=State.RUNNING).exists() and time.monotonic() + TICK_S < end:
        time.sleep(TICK_S)
        under_way = advance_all(clock())
    return under_way


def pause(batch: CommandBatch, *, actor: AbstractBaseUser, now: datetime) -> None:
    """Release nothing more; what was released goes on. Raises NotAllowed."""
    _switch(batch, State.RUNNING, State.PAUSED, "paused", actor=actor, now=now)


def resume(batch: CommandBatch, *, actor: AbstractBaseUser, now: datetime) -> None:
    """Raises NotAllowed."""
    _switch(batch, State.PAUSED, State.RUNNING, "resumed", actor=actor, now=now)
    advance(batch, now=now)


def stop(batch: CommandBatch, *, actor: AbstractBaseUser, now: datetime) -> int:
    """End the batch and cancel what was not handed out yet; returns how many. Raises NotAllowed."""
    _refuse_stranger(batch, actor)
    with transaction.atomic():
        batch = CommandBatch.objects.select_for_update(of=("self",)).get(pk=batch.pk)
        if batch.state in (State.STOPPED, State.FINISHED):
            raise NotAllowed(f"The batch is {batch.get_state_display()} already.")
        return _end(batch, State.STOPPED, "stopped by hand", actor=dispatch.actor_name(actor), now=now)


def approve(batch: CommandBatch, *, actor: AbstractBaseUser, now: datetime) -> None:
    """The second person's yes: the batch begins. Raises NotAllowed."""
    _refuse_stranger(batch, actor)
    if actor.pk == batch.requested_by_id:
        raise NotAllowed("Somebody else must approve it: you asked for it.")
    with transaction.atomic():
        approved = CommandBatch.objects.filter(pk=batch.pk, state=State.WAITING, approve_until__gt=now).update(
            state=State.RUNNING, approved_by=actor.pk
        )
        if not approved:
            raise NotAllowed("It no longer waits for approval.")
        _note(batch, "approved", actor=dispatch.actor_name(actor), now=now)
    advance(batch, now=now)


def _go_on(batch: CommandBatch, progress: Progress, *, now: datetime) -> None:
    if progress.bad * 100 > batch.stop_above_percent * progress.released:
        reason = f"{progress.bad} of {progress.released} sent went wrong, more than {batch.stop_above_percent} %"
        _end(batch, State.STOPPED, reason, actor="system", now=now)
    elif progress.held and _next_may_go(batch, progress, now=now):
        _release_group(batch, batch.group_size if progress.released else batch.canary_size or batch.group_size, now=now)
    elif not progress.held and not progress.open:
        _end(batch, State.FINISHED, "every command came to an end", actor="system", now=now)


def _next_may_go(batch: CommandBatch, progress: Progress, *, now: datetime) -> bool:
    """After the pause, when the last group has come to an end; the canary must have been judged as well."""
    if not progress.released:
        return True
    canary_is_open = progress.released <= batch.canary_size and batch.command in PROOFS and progress.unjudged > 0
    is_time = batch.next_group_at is None or batch.next_group_at <= now
    return is_time and not progress.open and not canary_is_open


def _release_group(batch: CommandBatch, size: int, *, now: datetime) -> None:
    # The keys are random: the canary is not always the first rack's, and a group is spread over the farm.
    held = batch.commands.filter(is_released=False, status=CommandStatus.PENDING).order_by("pk")
    group = list(held.select_related("miner__model", "miner__live")[:size])
    dispatch.release(group, now=now, ttl_s=batch.ttl_seconds)
    megawatts = sum(_watts(command.miner) for command in group) / 1e6
    pause_s = float(batch.pause_seconds)
    if batch.megawatts_a_minute:
        pause_s = max(pause_s, megawatts / batch.megawatts_a_minute * 60)
    CommandBatch.objects.filter(pk=batch.pk).update(next_group_at=now + timedelta(seconds=pause_s))
    _note(batch, f"{len(group)} released, {megawatts:.3f} MW", actor="system", now=now)


def _watts(miner: Miner) -> float:
    """What it draws now, or else should by its nameplate."""
    live = getattr(miner, "live", None)
    measured = live.power_consumption if live else None
    return float(measured if measured is not None else miner.model.power_consumption if miner.model else 0)


def _end(batch: CommandBatch, state: State, reason: str, *, actor: str, now: datetime) -> int:
    CommandBatch.objects.filter(pk=batch.pk).update(state=state, stop_reason=reason if state == State.STOPPED else "")
    batch.state = state
    cancelled = dispatch.cancel(batch.commands.all(), actor=actor, now=now) if state == State.STOPPED else 0
    _note(batch, f"{state}: {reason}", actor=actor, now=now)
    log.info("command_batch_ended", batch_id=str(batch.pk), state=str(state), reason=reason, cancelled=cancelled)
    return cancelled


def _switch(batch: CommandBatch, before: State, after: State, message: str, *, actor: AbstractBaseUser, now: datetime) -> None:
    _refuse_stranger(batch, actor)
    with transaction.atomic():
        if not CommandBatch.objects.filter(pk=batch.pk, state=before).update(state=after):
            raise NotAllowed(f"The batch is not {before.label}.")
        _note(batch, message, actor=dispatch.actor_name(actor), now=now)


def _refuse_stranger(batch: CommandBatch, actor: AbstractBaseUser) -> None:
    """Only who may give such commands, and sees every site the batch hits, decides over it."""
    if not may_ask(actor, batch.command):
        raise NotAllowed(f"You may not give {batch.command} commands.")
    foreign = batch.commands.exclude(site__in=Site.objects.visible_to(actor))
    if foreign.exists():
        raise NotAllowed("The batch hits sites that are not yours.")


def _note(batch: CommandBatch, message: str, *, actor: str, now: datetime) -> None:
    BatchEvent.objects.create(batch=batch, at=now, actor=actor[:150], message=message[:500])
