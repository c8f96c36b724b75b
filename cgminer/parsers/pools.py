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
    configured = [(index, row, url) for index, row in enumerate(found) if (url := plausible.text(row.get(names.url), 255)) is not None]
    in_use = _in_use([row for _, row, _ in configured], names)
    return tuple([_pool(row, names, index=index, url=url, active=row is in_use) for index, row, url in configured])


def _pool(row: Row, names: PoolNames, *, index: int, url: str, active: bool) -> Pool:
    get = row.get
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


def _in_use(configured: list[Row], names: PoolNames) -> Row | None:
    """The pool the miner says it works for. Firmware that never says it fails over in order: the first alive one by priority."""
    said = [row.get(names.active) for row in configured]
    if said.count(None) < len(said):
        return next((row for row, active in zip(configured, said, strict=True) if active in _TRUE), None)
    alive = [row for row in configured if _status(row.get(names.status)) is PoolStatus.ALIVE]
    return min(alive, key=lambda row: plausible.small_count(row.get(names.priority)) or 0, default=None)


def _pool_on_display(replies: Replies) -> tuple[Pool, ...]:
    """Avalon home miners show the pool in use in `lcd`."""
    row = first(replies.get("lcd"), "LCD")
    url = plausible.text(row.get("Current Pool"), 255)
    return (Pool(id=0, url=url, user=plausible.text(row.get("User")), active=True),) if url else ()
