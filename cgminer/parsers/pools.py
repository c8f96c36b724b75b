"""Pools: every one configured, and which is in use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

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


def read_pools(replies: Replies) -> tuple[Pool, ...]:
    """Pools with an address; slots that were left empty are not pools. At most one is marked active."""
    found = [(row, pool) for index, row in enumerate(rows(replies.get("pools"), "POOLS")) if (pool := _pool(row, index))]
    if not found:
        return _pool_on_display(replies)
    pools = [pool for _, pool in found]
    if in_use := _in_use(found):
        pools[pools.index(in_use)] = replace(in_use, active=True)
    return tuple(pools)


def _pool(row: Row, index: int) -> Pool | None:
    get = row.get
    url = plausible.text(get("URL", get("url")), 255)
    if url is None:
        return None
    position = plausible.small_count(get("POOL", get("index")))
    return Pool(
        id=index if position is None else position,
        url=url,
        user=plausible.text(get("User", get("user", get("account"))), 100),
        status=_STATUSES.get(str(get("Status", get("status"))).lower(), PoolStatus.UNKNOWN),
        priority=plausible.small_count(get("Priority", get("priority"))),
        group=plausible.small_count(get("GROUP")),
        accepted_shares=plausible.counter(get("Accepted", get("accepted"))),
        rejected_shares=plausible.counter(get("Rejected", get("rejected"))),
        stale_shares=plausible.counter(get("Stale", get("stale"))),
    )


def _in_use(found: list[tuple[Row, Pool]]) -> Pool | None:
    """The pool the miner says it works for. Firmware that never says it fails over in order: the first alive one by priority."""
    flags: list[Any] = [row.get("Stratum Active", row.get("stratum-active")) for row, _ in found]
    if any(flag is not None for flag in flags):
        return next((pool for flag, (_, pool) in zip(flags, found, strict=True) if flag in _TRUE), None)
    alive = [pool for _, pool in found if pool.status is PoolStatus.ALIVE]
    return min(alive, key=lambda pool: pool.id if pool.priority is None else pool.priority, default=None)


def _pool_on_display(replies: Replies) -> tuple[Pool, ...]:
    """Avalon home miners show the pool in use in `lcd`."""
    row = first(replies.get("lcd"), "LCD")
    url = plausible.text(row.get("Current Pool"), 255)
    return (Pool(id=0, url=url, user=plausible.text(row.get("User")), active=True),) if url else ()
