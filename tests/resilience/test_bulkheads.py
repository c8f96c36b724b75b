from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from prometheus_client import REGISTRY

from resilience.bulkheads import COLLECTION, COMMANDS, OUTGOING, SIZES, Bulkhead, BulkheadFull, bulkhead, states


@pytest.fixture
def pool() -> Iterator[Bulkhead]:
    pool = Bulkhead("small", threads=2, queue_limit=3)
    yield pool
    pool.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Work that waits on it hangs until the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def test_work_runs_in_a_thread_with_the_pools_name(pool: Bulkhead):
    name = pool.submit(lambda: threading.current_thread().name).result(timeout=10)
    assert name.startswith("small")


def test_work_beyond_threads_and_queue_is_refused_at_once(pool: Bulkhead, gate: threading.Event):
    for _ in range(5):
        pool.submit(gate.wait)
    begun = time.monotonic()
    with pytest.raises(BulkheadFull, match="2 threads busy and 3 jobs waiting"):
        pool.submit(gate.wait)
    assert time.monotonic() - begun < 1
    assert pool.state().refused == 1


def test_queue_depth_and_saturation_are_readable(pool: Bulkhead, gate: threading.Event):
    for _ in range(3):
        pool.submit(gate.wait)
    wait_for(lambda: pool.state().running == 2, "both threads at work")
    state = pool.state()
    assert (state.running, state.queued, state.saturation) == (2, 1, 0.6)


def test_prometheus_sees_depth_saturation_and_refusals(gate: threading.Event):
    pool = Bulkhead("shown", threads=2, queue_limit=3)
    for _ in range(5):
        pool.submit(gate.wait)
    wait_for(lambda: pool.state().running == 2, "both threads at work")
    with pytest.raises(BulkheadFull):
        pool.submit(gate.wait)
    assert told("shown") == {"running": 2, "queued": 3, "saturation": 1.0, "refused_total": 1}
    gate.set()
    wait_for(lambda: told("shown") == {"running": 0, "queued": 0, "saturation": 0.0, "refused_total": 1}, "an empty pool")
    pool.close()


def told(pool: str) -> dict[str, float | None]:
    names = ("running", "queued", "saturation", "refused_total")
    return {name: REGISTRY.get_sample_value(f"bulkhead_{name}", {"pool": pool}) for name in names}


def test_finished_failed_and_cancelled_work_make_room(pool: Bulkhead, gate: threading.Event):
    first = pool.submit(gate.wait)
    second = pool.submit(lambda: (gate.wait(), 1 / 0))
    third = pool.submit(gate.wait)
    assert third.cancel()
    gate.set()
    assert first.result(timeout=10)
    with pytest.raises(ZeroDivisionError):
        second.result(timeout=10)
    wait_for(lambda: (pool.state().running, pool.state().queued) == (0, 0), "an empty pool")


def test_full_collection_pool_does_not_hold_up_commands_or_outgoing_calls(gate: threading.Event):
    size = SIZES[COLLECTION]
    hung = [bulkhead(COLLECTION).submit(gate.wait) for _ in range(size.threads + size.queue_limit)]
    with pytest.raises(BulkheadFull):
        bulkhead(COLLECTION).submit(gate.wait)
    assert bulkhead(COMMANDS).submit(lambda: "restarted").result(timeout=5) == "restarted"
    assert bulkhead(OUTGOING).submit(lambda: "priced").result(timeout=5) == "priced"
    gate.set()
    for future in hung:
        future.result(timeout=10)


def test_states_list_the_pools_in_use_with_their_sizes():
    bulkhead(COMMANDS)
    assert {state.name: state.threads for state in states()}[COMMANDS] == 5


def test_forked_child_gets_pools_of_its_own():
    bulkhead(COMMANDS).submit(lambda: None).result(timeout=5)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, bulkhead(COMMANDS).submit(lambda: b"alive").result(timeout=5))
        finally:
            os._exit(0)
    os.close(writer)
    try:
        assert os.read(reader, 10) == b"alive"
    finally:
        os.close(reader)
        os.waitpid(child, 0)


@pytest.mark.django_db(transaction=True)
def test_idle_thread_holds_no_database_connection(pool: Bulkhead):
    def session() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return id(connection.connection)

    def open_before_work() -> bool:
        return connection.connection is not None

    for _ in range(4):
        pool.submit(session).result(timeout=10)
    assert [pool.submit(open_before_work).result(timeout=10) for _ in range(4)] == [False] * 4
