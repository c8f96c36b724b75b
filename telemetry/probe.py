"""Ask one miner, now, what it says: for whoever stands before it with a question. Nothing is stored."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace

from django.conf import settings

from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import MinerTimeout, PortClosed
from cgminer.protocols import elsewhere
from cgminer.reading import Answer
from miners.reach import within_reach
from resilience.bulkheads import COLLECTION, bulkhead

PROBE_WITHIN_S = 5.0
"""Longer nobody waits before a page; the poller has more patience."""


def client_for(address: Address, *, attempts: int) -> MinerClient:
    """With the poller's limits, and its patience for a slow first reply."""
    timeouts = Timeouts(connect_s=settings.POLL_CONNECT_TIMEOUT_S, send_s=settings.POLL_SEND_TIMEOUT_S, receive_s=settings.POLL_PATIENCE_S)
    return MinerClient(address, timeouts=timeouts, retries=RetryPolicy(attempts=attempts))


def probe_within(address: Address, *, seconds: float = PROBE_WITHIN_S) -> Answer:
    """One attempt in a thread of the collection pool, and none at this server itself.

    Raises MinerError, and BulkheadFull while too many others are asking.
    """
    future = bulkhead(COLLECTION).submit(_asked, address)
    try:
        return future.result(timeout=seconds)
    except FutureTimeout:
        future.cancel()
        raise MinerTimeout(f"{address}: no full answer within {seconds:g} s") from None


def _asked(address: Address) -> Answer:
    client = client_for(within_reach(address), attempts=1)
    try:
        return client.read_snapshot()
    except PortClosed:
        other = elsewhere(client.address)
        if other is None:
            raise
        return _at_the_other_port(client, other)


def _at_the_other_port(client: MinerClient, other: Address) -> Answer:
    try:
        return replace(client, address=other).read_snapshot()
    except PortClosed as error:
        raise PortClosed(f"{client.address}: refused the connection, and so did port {other.port}; is the miner up?") from error
