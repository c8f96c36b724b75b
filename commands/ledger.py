"""The event log of commands, and the counter of their transitions: one line each time something happens to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from functools import partial

from django.db import transaction

from commands import metrics
from commands.models import CommandEvent, CommandStatus, MinerCommand


def record(commands: Collection[MinerCommand], status: CommandStatus, *, actor: str, message: str, now: datetime) -> None:
    """Note that `commands` have come to `status`, and count it once the transaction is committed."""
    note(commands, status, actor=actor, message=message, now=now)
    for command, count in Counter(item.command for item in commands).items():
        transaction.on_commit(partial(metrics.COMMANDS.labels(command, str(status)).inc, count))


def note(commands: Collection[MinerCommand], status: CommandStatus, *, actor: str, message: str, now: datetime) -> None:
    """Note something that leaves their status as it is."""
    CommandEvent.objects.bulk_create(
        [CommandEvent(command_id=command.pk, at=now, actor=actor[:150], status=status, message=message[:500]) for command in commands],
        batch_size=1_000,
    )
