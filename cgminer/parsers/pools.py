"""Pools: every one configured, and which is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from cgminer import plausible
from cgminer.parsers.sections import Replies, Row, first, rows
from cgminer.snapshot import Pool, PoolStatus

_STATUSES = {
    "alive": PoolStatus.ALIVE,
    "active": PoolStatus.ALIVE,
    "working": PoolStatus.ALIVE,
    "dead": PoolStatus.DEAD,
    "deed": PoolStatus.DEAD,
    "disabled": PoolStatus.DISABLED,
    "rejecting": PoolStatus.DISABLED,
}
_STATUSES |= {word.capitalize(): status for word, status in _STATUSES.items()}  # as nearly all firmware writes them
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
    return pools_of(found) if found else _pool_on_display(replies)


def pools_of(found: Sequence[Row], *, names: PoolNames | None = None) -> tuple[Pool, ...]:
    """The same of the rows of `POOLS`, of which there is one at least; `names` where they are neither the usual ones nor the new API's."""
    names = names or (_NEW_API_NAMES if "url" in found[0] else _NAMES)
    configured = [(index, row, url) for index, row in enumerate(found) if (url := plausible.text(row.get(names.url), 255)) is not None]
    in_use = _in_use([row for _, row, _ in configured], names)
    pools = []
    for index, row, url in configured:
        get = row.get
        position = plausible.small_count(get(names.position))
        pool = Pool(
            id=index if position is None else position,
            url=url,
            user=plausible.text(get(names.user), 100),
            status=_status(get(names.status)),
            active=row is in_use,
            priority=plausible.small_count(get(names.priority)),
            group=plausible.small_count(row["GROUP"]) if "GROUP" in row else None,
            accepted_shares=plausible.counter(get(names.accepted)),
            rejected_shares=plausible.counter(get(names.rejected)),
            stale_shares=plausible.counter(get(names.stale)),
        )
        pools.append(pool)
    return tuple(pools)


def _status(value: Any) -> PoolStatus:
    if type(value) is not str:
        return PoolStatus.UNKNOWN
    return _STATUSES.get(value) or _STATUSES.get(value.lower(), PoolStatus.UNKNOWN)


def _in_use(configured: list[Row], names: PoolNames) -> Row | None:
    """The pool the miner says it works for. Firmware that never says it fails over in order: the first alive one by priority."""
    says = False
    for row in configured:
        active = row.get(names.active)
        if active is True or (active is not None and active in _TRUE):
            return row
        says = says or active is not None
    if says:
        return None
    alive = [row for row in configured if _status(row.get(names.status)) is PoolStatus.ALIVE]
    return min(alive, key=lambda row: plausible.small_count(row.get(names.priority)) or 0, default=None)


def _pool_on_display(replies: Replies) -> tuple[Pool, ...]:
    """Avalon home miners show the pool in use in `lcd`."""
    row = first(replies.get("lcd"), "LCD")
    url = plausible.text(row.get("Current Pool"), 255)
    return (Pool(id=0, url=url, user=plausible.text(row.get("User")), active=True),) if url else ()
