"""Commands and their results in the shapes of the collector API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commands.dispatch import Outcome
from commands.models import MinerCommand
from commands.secrets import unseal

MAX_ANSWER_BYTES = 10_000
_TEXTS = ("result_message", "message", "error_message", "error_class")


def command_on_the_wire(command: MinerCommand) -> dict[str, Any]:
    """What an agent is handed. Raises SecretUnreadable."""
    miner = command.miner
    handed = {
        "command_id": str(command.pk),
        "miner_id": miner.miner_id,
        "site_id": command.site.code,
        "zone_id": miner.zone or None,
        "command": command.command,
        "params": {**command.params, **unseal(command.secret_params)},
        "priority": command.priority,
        "issued_at": command.created_at.isoformat(),
        "expires_at": command.expires_at.isoformat(),
    }
    return {**handed, "ip_address": miner.ip_address} if miner.ip_address else handed


def outcome_from_wire(body: Mapping[str, Any]) -> Outcome:
    """An agent's result, read tolerantly: what cannot be used is left out."""
    status = body.get("status")
    if not isinstance(status, str) and isinstance(body.get("success"), bool):
        status = "completed" if body["success"] else "failed"
    code = body.get("result_code")
    texts = [str(body[name]) for name in _TEXTS if isinstance(body.get(name), str) and body[name]]
    return Outcome(
        status=status if isinstance(status, str) else "",
        result_code=code if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 32_768 else None,
        message=_storable(texts[0])[:500] if texts else "",
        answer=_answer(body),
    )


def command_for_staff(command: MinerCommand) -> dict[str, Any]:
    """What staff may see of a command: everything but its secrets."""
    times = ("created_at", "expires_at", "sent_at", "leased_until", "finished_at", "verified_at")
    return {
        "command_id": str(command.pk),
        "site_id": command.site.code,
        "miner_id": command.miner.miner_id,
        "command": command.command,
        "params": command.params,
        "priority": command.priority,
        "reason": command.reason,
        "requested_by": command.requested_by.get_username() if command.requested_by else None,
        "status": command.status,
        "deliveries": command.deliveries,
        "result_code": command.result_code,
        "result_message": command.result_message,
        "verification": command.verification,
        "evidence": command.evidence,
        **{name: moment.isoformat() if (moment := getattr(command, name)) else None for name in times},
    }


def _answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a result worth keeping, within a bound."""
    names = ("device_id", "executed_at", "duration_ms", "execution_time_ms", "before", "after", "error_class", "error_message", "result")
    kept: dict[str, Any] = {}
    for name in names:
        value = body.get(name)
        if value not in (None, "") and len(repr(value)) <= MAX_ANSWER_BYTES:
            kept[name] = _storable(value)
    return kept


def _storable(value: Any) -> Any:
    """Without NUL characters and lone surrogates, which PostgreSQL takes neither in text nor in JSON."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {str(_storable(key)): _storable(item) for key, item in value.items()}
    return value
