"""Commands as the server hands them out, and whether one is for this collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from edge_collector.inventory import Inventory
from edge_collector.link import Reply
from edge_collector.settings import Server

KNOWN: Final = frozenset({"enable", "disable", "restart", "reboot", "set_pool", "set_fan", "set_frequency"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command as it was handed out. `left_s` is how long it may still be carried out, by the server's own clock."""

    command_id: str
    miner_id: str
    site_id: str
    zone_id: str
    command: str
    params: Mapping[str, Any]
    left_s: float


def why_not(order: Order, server: Server, inventory: Inventory) -> str | None:
    """None when it may be carried out, "" when it is for another collector, else the reason to reject it."""
    if order.site_id and order.site_id != server.site_id:
        return f"it is for the site {order.site_id}, this collector is of {server.site_id}"
    if order.zone_id and server.zone_id and order.zone_id != server.zone_id:
        return ""
    machine = inventory.get(order.miner_id)
    if machine is None:
        return "" if server.zone_id and not order.zone_id else f"{order.miner_id} is not in the inventory of this collector"
    if machine.address is None:
        return f"it is not known where {order.miner_id} is"
    if order.left_s <= 0:
        return "it had expired when it was handed out"
    if order.command not in KNOWN:
        return f"this collector does not know the command {order.command}"
    return None


def read_order(item: Any, reply: Reply) -> Order | None:
    """None for what cannot even be answered."""
    if not isinstance(item, dict) or not isinstance(item.get("command_id"), str) or not 1 <= len(item["command_id"]) <= 100:
        return None
    params = item.get("params")
    return Order(
        command_id=item["command_id"],
        miner_id=str(item.get("miner_id", "")),
        site_id=str(item.get("site_id") or ""),
        zone_id=str(item.get("zone_id") or ""),
        command=str(item.get("command", "")),
        params=params if isinstance(params, dict) else {},
        left_s=_left(item.get("expires_at"), server_time(reply)),
    )


def server_time(reply: Reply) -> datetime:
    """By the answer's own Date, so that a wrong clock here lets nothing expire and nothing live on."""
    try:
        return parsedate_to_datetime(reply.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)


def _left(expires_at: Any, now: datetime) -> float:
    try:
        moment = datetime.fromisoformat(str(expires_at).replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def outline(item: Any) -> str:
    """What an order that cannot be read has, for the log: names, not values, among which could be a pool's password."""
    return ", ".join(sorted(str(name)[:40] for name in item)[:20]) if isinstance(item, dict) else type(item).__name__
