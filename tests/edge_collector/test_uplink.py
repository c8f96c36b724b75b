"""What leaves the spool and what stays, over real sockets."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from edge_collector.link import Link
from edge_collector.uplink import Sent, Uplink
from tests.edge_collector.makers import KEY, make_config, make_spool, put_round
from tests.edge_collector.odd_server import OddServer
from tests.servers import wait_until


@pytest.fixture
def server():
    with OddServer() as odd:
        yield odd


@pytest.fixture
def spool(tmp_path):
    spool = make_spool(tmp_path)
    yield spool
    spool.close()


@pytest.fixture
def uplink(server, spool, tmp_path):
    config = make_config(tmp_path, url=server.url, server={"timeout_s": 1.0})
    uplink = Uplink(config, spool, link=lambda: Link(config, lambda: KEY))
    yield uplink
    uplink.close()


def test_accepted_round_leaves_the_spool(server, spool, uplink):
    put_round(spool, 20)
    assert uplink.send_live() is Sent.DONE
    assert spool.depth().records == 0
    (upload,) = server.uploads
    assert {name: upload[name] for name in ("schema", "site_id", "device_id", "record_count", "source_seq_start", "source_seq_end")} == {
        "schema": "telemetry_envelope.v1",
        "site_id": "north",
        "device_id": "pi-1",
        "record_count": 20,
        "source_seq_start": 1,
        "source_seq_end": 20,
    }
    headers = server.headers[0]
    assert headers["X-Collector-Key"] == KEY
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["X-Site-ID"] == "north"


@pytest.mark.parametrize(
    "lie", ["html", "html-200", "502", "cut", "drop", "broken", "not-success", "miscount", "redirect", "429", "503", "401", "404"]
)
def test_anything_but_a_whole_acknowledgement_keeps_the_round(server, spool, uplink, lie):
    put_round(spool, 5)
    server.script.append(lie)
    assert uplink.send_live() is Sent.FAILED
    assert spool.depth().records == 5
    assert uplink.state.problem


def test_acknowledgement_lost_on_the_way_is_sent_again_with_the_same_numbers(server, spool, uplink):
    put_round(spool, 5)
    server.script.append("drop-after")
    assert uplink.send_live() is Sent.FAILED
    assert uplink.send_live() is Sent.DONE
    first, second = server.uploads
    assert first["records"] == second["records"]
    assert (first["source_seq_start"], first["source_seq_end"]) == (second["source_seq_start"], second["source_seq_end"])


@pytest.mark.parametrize("slowness", ["slow", "drip"])
def test_whole_exchange_is_cut_at_its_time(server, spool, uplink, slowness):
    put_round(spool, 5)
    server.script.append(slowness)
    began = time.monotonic()
    assert uplink.send_live() is Sent.FAILED
    assert time.monotonic() - began < 1.4
    assert "within 1 s" in uplink.state.problem


def test_kept_connection_is_used_again(server, spool, uplink):
    for at in range(5):
        put_round(spool, 2, at=at)
        assert uplink.send_live() is Sent.DONE
    assert server.connections == 1


def test_connection_that_the_server_closed_meanwhile_costs_nothing(server, spool, uplink):
    put_round(spool, 2)
    assert uplink.send_live() is Sent.DONE
    uplink._live._connection.sock.shutdown(socket.SHUT_RDWR)
    put_round(spool, 2, at=1)
    assert uplink.send_live() is Sent.DONE


def test_too_large_batch_is_split_until_it_fits_and_arrives_once(server, spool, uplink):
    server.largest = 30
    put_round(spool, 100)
    assert uplink.drain(within_s=10)
    assert sorted(server.readings) == sorted(set(server.readings))
    assert len(server.readings) == 100
    assert max(upload["record_count"] for upload in server.uploads) <= 30
    assert covered(server) == list(range(1, 101))


def test_after_a_split_no_larger_batch_is_tried_again(server, spool, uplink):
    server.largest = 30
    put_round(spool, 100)
    uplink.drain(within_s=10)
    before = [what for _, what in server.attempts].count("accept")
    put_round(spool, 100, at=60)
    uplink.drain(within_s=10)
    assert sum(upload["record_count"] for upload in server.uploads) == 200
    assert len(server.attempts) - before <= 8


def test_refused_batch_stays_and_does_not_hold_up_the_others(server, spool, uplink):
    put_round(spool, 5)
    server.script.append("400")
    assert uplink.send_live() is Sent.PUT_ASIDE
    put_round(spool, 7, at=60)
    assert uplink.send_live() is Sent.DONE
    assert uplink.send_backlog() is Sent.NOTHING
    assert spool.depth().records == 5


def test_newest_round_goes_first_and_the_backlog_from_new_to_old(server, spool, uplink):
    for at in (0, 60, 120):
        put_round(spool, 3000, at=at)
    put_round(spool, 3000, at=180)
    assert uplink.drain(within_s=10)
    assert [upload["records"][0]["timestamp"][11:19] for upload in server.uploads] == ["00:03:00", "00:02:00", "00:01:00", "00:00:00"]


def test_small_rounds_of_the_backlog_travel_together(server, spool, uplink):
    for at in range(0, 6000, 60):
        put_round(spool, 10, at=at)
    assert uplink.drain(within_s=10)
    assert [upload["record_count"] for upload in server.uploads] == [10, 990]
    assert len(set(server.readings)) == 1000


def test_retry_after_closes_both_ways(server, spool, uplink):
    put_round(spool, 2)
    put_round(spool, 2, at=60)
    server.script.append("429")
    assert uplink.send_live() is Sent.FAILED
    assert uplink.send_live() is Sent.NOTHING
    assert uplink.send_backlog() is Sent.NOTHING
    assert 0.5 < uplink.pace.wait_of_live() <= 1.0
    wait_until(lambda: uplink.send_live() is Sent.DONE, timeout_s=3, what="the end of Retry-After")


def test_backlog_leaves_the_last_requests_of_the_minute_to_live_readings(server, spool, uplink):
    server.limit_headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "40"}
    for at in (0, 60, 120):
        put_round(spool, 3000, at=at)
    assert uplink.send_backlog() is Sent.DONE
    assert uplink.send_backlog() is Sent.NOTHING
    assert uplink.pace.wait_of_backlog() > 35
    assert uplink.send_live() is Sent.DONE


def test_silent_server_is_never_hammered(server, spool, uplink):
    server.always = "502"
    put_round(spool, 2)
    put_round(spool, 2, at=60)
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(stop,)) for run in (uplink.run_live, uplink.run_backlog)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join(5)
    # Waits of up to 0.3 s, two ways: about 7 attempts a second at most, and never silent.
    assert 4 <= len(server.attempts) <= 60


def test_server_that_comes_back_gets_everything_once(server, spool, uplink):
    server.always = "drop"
    for at in range(0, 300, 60):
        put_round(spool, 1500, at=at)
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(stop,)) for run in (uplink.run_live, uplink.run_backlog)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(server.attempts) > 3, timeout_s=5, what="attempts")
    server.always = ""
    wait_until(lambda: spool.depth().records == 0, timeout_s=10, what="an empty spool")
    stop.set()
    uplink.live_bell.ring()
    uplink.backlog_bell.ring()
    for thread in threads:
        thread.join(5)
    assert len(server.readings) == len(set(server.readings)) == 7500
    assert covered(server) == list(range(1, 7501))


def covered(server):
    """The sequence numbers that the accepted envelopes name, in order."""
    return sorted(number for upload in server.uploads for number in range(upload["source_seq_start"], upload["source_seq_end"] + 1))
