"""What a command's page shows at its head: the steps it took, and the claim beside the evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from commands.models import CommandStatus, MinerCommand


def timeline_of(command: MinerCommand, *, may_cancel: bool) -> dict[str, Any]:
    """The head's context. Times between steps in seconds."""
    result: Any = command.result or {}
    evidence: Any = command.evidence or {}
    return {
        "steps": _steps(command),
        "claimed": _changes(result.get("before"), result.get("after")),
        "proved": _changes(evidence.get("before"), evidence.get("after")),
        "may_cancel": may_cancel and command.status == CommandStatus.PENDING,
    }


def _steps(command: MinerCommand) -> list[dict[str, Any]]:
    steps: list[tuple[str, datetime | None]] = [
        (_("Asked"), command.created_at),
        (_("Handed out"), command.sent_at),
        (_("Told to the miner"), command.touched_at),
        (_("Answered"), command.finished_at),
        (_("Judged"), command.verified_at),
    ]
    return [{"label": label, "at": at, "seconds": (at - command.created_at).total_seconds() if at else None} for label, at in steps]


def _changes(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Each value that either side has; an agent may have sent anything in their place."""
    first, second = (side if isinstance(side, dict) else {} for side in (before, after))
    return [(name, first.get(name), second.get(name)) for name in dict.fromkeys([*first, *second])]
