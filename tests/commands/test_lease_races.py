"""Two at the same moment: a miner's commands go out one at a time all the same, and an order is stored once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from commands import batches, dispatch
from commands.batches import Pacing
from commands.dispatch import Order
from commands.models import CommandBatch, MinerCommand
from tests.makers import make_miner, make_miners, make_site

pytestmark = pytest.mark.django_db(transaction=True)
TRIES = 15


def lease(site, start: threading.Barrier) -> int:
    try:
        start.wait(10)
        return len(dispatch.lease_for_server(site, limit=2, now=timezone.now(), runner="one of two"))
    finally:
        connection.close()


def test_two_commands_of_a_miner_are_not_leased_at_the_same_moment() -> None:
    site, leased = make_site(), 0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(TRIES):
            miner = make_miner(site)
            for _ in range(2):
                dispatch.create_command(miner, Order(command="restart"), requested_by=None, now=timezone.now())
            start = threading.Barrier(2)
            won = sum(future.result() for future in [pool.submit(lease, site, start) for _ in range(2)])
            assert won <= 1
            leased += won
            MinerCommand.objects.filter(miner=miner).delete()
    assert leased > 0


def order_once(miners, start: threading.Barrier) -> str:
    try:
        start.wait(10)
        order = Order(command="restart", idempotency_key="click-1")
        return str(batches.create_batch(miners, order, Pacing(), requested_by=None, now=timezone.now()).pk)
    finally:
        connection.close()


def test_same_order_twice_at_the_same_moment_is_one_batch() -> None:
    miners = make_miners(make_site(), 30)
    start = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        made = {future.result() for future in [pool.submit(order_once, miners, start) for _ in range(2)]}
    assert made == {str(CommandBatch.objects.get().pk)}
    assert MinerCommand.objects.count() == 30
