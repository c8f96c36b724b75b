"""Pools: every one configured, and which is in use."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from cgminer import plausible
from cgminer.parsers.sections import Replies, Row, first, rows
from cgminer.snapshot import Pool, PoolStatus

_STATUSES: Final = {
    "alive": PoolStatus.ALIVE,
    "active": PoolStatus.ALIVE,
    "working": PoolStatus.ALIVE,
    "dead": PoolStatus.DEAD,
    "deed": PoolStatus.DEAD,
    "disabled": PoolStatus.DISABLED,
    "rejecting": PoolStatus.DISABLED,
}
_TRUE: Final = (True, 1, "true", "True", "1", "Y")


class PoolNames(NamedTuple):
    position: str
    url: str
    user: str
    status: str
    active: str
    priority: str
    accepted: str
    rejected: str
    stale: str


_NAMES: Final = PoolNames("POOL", "URL", "User", "Status", "Stratum Active", "Priority", "Accepted", "Rejected", "Stale")
_NEW_API_NAMES: Final = PoolNames("index", "url", "user", "status", "stratum-active", "priority", "accepted", "rejected", "stale")


def read_pools(replies: Replies) -> tuple[Pool, ...]:
    """Pools with an address; slots that were left empty are not pools. At most one is marked active."""
    found = rows(replies.get("pools"), "POOLS")
    if not found:
        return _pool_on_display(replies)
    names = _NEW_API_NAMES if "url" in found[0] else _NAMES
    in_use = _in_use(found, names)
    return tuple([pool for index, row in enumerate(found) if (pool := _pool(row, index, names, row is in_use)) is not None])


def _pool(row: Row, index: int, names: PoolNames, active: bool) -> Pool | None:
    get = row.get
    url = plausible.text(get(names.url), 255)
    if url is None:
        return None
    position = plausible.small_count(get(names.position))
    return Pool(
        id=index if position is None else position,
        url=url,
        user=plausible.text(get(names.user), 100),
        status=_status(get(names.status)),
        active=active,
        priority=plausible.small_count(get(names.priority)),
        group=plausible.small_count(get("GROUP")),
        accepted_shares=plausible.counter(get(names.accepted)),
        rejected_shares=plausible.counter(get(names.rejected)),
        stale_shares=plausible.counter(get(names.stale)),
    )


def _status(value: Any) -> PoolStatus:
    return _STATUSES.get(value.lower(), PoolStatus.UNKNOWN) if type(value) is str else PoolStatus.UNKNOWN


def _in_use(found: list[Row], names: PoolNames) -> Row | None:
    """The pool the miner says it works for. Firmware that never says it fails over in order: the first alive one by priority."""
    configured = [row for row in found if plausible.text(row.get(names.url), 255)]
    if any(row.get(names.active) is not None for row in configured):
        return next((row for row in configured if row.get(names.active) in _TRUE), None)
    alive = [row for row in configured if _status(row.get(names.status)) is PoolStatus.ALIVE]
    return min(alive, key=lambda row: plausible.small_count(row.get(names.priority)) or 0, default=None)


def _pool_on_display(replies: Replies) -> tuple[Pool, ...]:
    """Avalon home miners show the pool in use in `lcd`."""
    row = first(replies.get("lcd"), "LCD")
    url = plausible.text(row.get("Current Pool"), 255)
    return (Pool(id=0, url=url, user=plausible.text(row.get("User")), active=True),) if url else ()
