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


def lease(command_id, start: threading.Barrier) -> bool:
    try:
        start.wait(10)
        return dispatch.lease_command(command_id, now=timezone.now(), leased_by="a runner") is not None
    finally:
        connection.close()


def test_two_commands_of_a_miner_are_not_leased_at_the_same_moment() -> None:
    site = make_site()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(TRIES):
            miner = make_miner(site)
            pair = [dispatch.create_command(miner, Order(command="restart"), requested_by=None, now=timezone.now()) for _ in range(2)]
            start = threading.Barrier(2)
            won = [future.result() for future in [pool.submit(lease, command.pk, start) for command in pair]]
            assert won.count(True) <= 1
            MinerCommand.objects.filter(miner=miner).delete()


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
