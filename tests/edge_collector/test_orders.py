"""What the log says of an order that cannot be read."""

from __future__ import annotations

from edge_collector.link import Reply
from edge_collector.orders import outline, read_order


def test_order_that_cannot_be_read_is_told_without_what_it_holds():
    item = {"miner_id": "m1", "parameters": {"pool_password": "hunter2hunter2"}}

    assert read_order(item, Reply(status=200, headers={}, body=b"")) is None
    assert outline(item) == "miner_id, parameters"
    assert outline(["hunter2"]) == "list"
