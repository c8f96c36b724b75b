"""One command type on one miner: read what it is, say it in its dialect, read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cgminer.actions import avalon, braiins, luxos, stock, whatsminer, whatsminer3
from cgminer.actions.conversation import Conversation
from cgminer.actions.dialects import Dialect, dialect_of_answer, why_not
from cgminer.client import MinerClient
from cgminer.errors import ActionRefused, MinerError
from cgminer.reading import Answer
from cgminer.snapshot import Snapshot

Way = Callable[[Conversation, Mapping[str, Any]], str]
"""Carries one command type out and says what was done. Raises a MinerError."""

_STOCK: Final[Mapping[str, Way]] = {"restart": stock.restart, "set_pool": stock.set_pool}
WAYS: Final[Mapping[Dialect, Mapping[str, Way]]] = {
    Dialect.CGMINER: {"restart": stock.restart, "set_pool": stock.set_pool_and_save},
    Dialect.ANTMINER: _STOCK,
    Dialect.VNISH: _STOCK,
    Dialect.BRAIINS: {"enable": braiins.resume, "disable": braiins.pause, "set_pool": stock.set_pool},
    Dialect.LUXOS: {
        "enable": luxos.wake_up,
        "disable": luxos.sleep,
        "restart": luxos.restart,
        "reboot": luxos.reboot,
        "set_pool": stock.set_pool,
        "set_fan": luxos.set_fan,
        "set_frequency": luxos.set_frequency,
    },
    Dialect.WHATSMINER: {
        "enable": whatsminer.power_on,
        "disable": whatsminer.power_off,
        "restart": whatsminer.restart,
        "reboot": whatsminer.reboot,
        "set_pool": whatsminer.set_pool,
    },
    Dialect.WHATSMINER_API3: {
        "enable": whatsminer3.start,
        "disable": whatsminer3.stop,
        "restart": whatsminer3.restart,
        "reboot": whatsminer3.reboot,
        "set_pool": whatsminer3.set_pool,
    },
    Dialect.AVALON: {
        "enable": avalon.wake_up,
        "disable": avalon.sleep,
        "reboot": avalon.reboot,
        "set_pool": stock.set_pool,
        "set_fan": avalon.set_fan,
    },
    Dialect.SEALMINER: {},
    Dialect.AURADINE: {},
}
_READ_AFTERWARDS: Final = frozenset({"enable", "disable", "set_pool", "set_fan", "set_frequency"})
"""After a restart or reboot the miner is away: the next poll tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was said to the miner and what it answered. `before` and `after` hold what it reported, `after` empty while it is away."""

    dialect: Dialect
    message: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def carry_out(
    client: MinerClient, command: str, params: Mapping[str, Any], *, password: str | None = None, tell_before: float | None = None
) -> Done:
    """Do `command` on the miner once. `password` is the administrator's, which Whatsminers want.

    After `tell_before` (on the monotonic clock) nothing that changes the miner is sent any more.
    Raises a MinerError; its `sent` says whether a control command had left by then, so that the miner may have carried it out.
    """
    answer = _reading(client)
    dialect = dialect_of_answer(answer)
    reason = why_not(dialect, command, params)
    if reason:
        raise ActionRefused(f"{client.address}: {reason}.")
    conversation = Conversation(client, answer=answer, password=password, tell_before=tell_before)
    try:
        message = WAYS[dialect][command](conversation, params)
    except MinerError as error:
        error.sent = conversation.may_have_acted(error)
        raise
    after = _seen_after(client, joined=answer.joined) if command in _READ_AFTERWARDS else {}
    return Done(dialect=dialect, message=message, before=seen(answer.snapshot) | _expected(answer.snapshot, params), after=after)


def seen(snapshot: Snapshot) -> dict[str, Any]:
    """The values a command can change, as far as the miner reports them."""
    pool = snapshot.pool_in_use
    values = {
        "mining_state": str(snapshot.mining_state),
        "hashrate_5s_ghs": snapshot.hashrate_5s_ghs,
        "uptime_seconds": snapshot.uptime_seconds,
        "frequency_avg": snapshot.frequency_avg,
        "fan_duty_percent": snapshot.fan_duty_percent,
        "pool_url": pool.url if pool else None,
        "worker_name": pool.user if pool else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _expected(snapshot: Snapshot, params: Mapping[str, Any]) -> dict[str, Any]:
    """The address of the pool that is only named by its number."""
    url = next((pool.url for pool in snapshot.pools if pool.id == params.get("pool_id")), None)
    return {"expected_pool_url": url} if url else {}


def _reading(client: MinerClient) -> Answer:
    try:
        return client.read_snapshot()
    except MinerError as error:
        error.sent = False  # only reads had left
        raise


def _seen_after(client: MinerClient, *, joined: bool) -> dict[str, Any]:
    """Empty when the miner does not answer now: the command was carried out all the same."""
    try:
        return seen(client.read_snapshot(joined=joined).snapshot)
    except MinerError:
        return {}
