"""Heartbeat, events and the replacement of the key, over real sockets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_collector.keys import KeyRing
from edge_collector.link import Link
from edge_collector.outbox import Outbox
from edge_collector.reports import EVENTS, HEARTBEAT, ROTATE, Reporter
from tests.edge_collector.makers import KEY, make_config, make_spool, put_round
from tests.edge_collector.odd_server import OddServer

NEW_KEY = "hsc_" + "n" * 43


@pytest.fixture
def server():
    with OddServer() as odd:
        odd.answers[HEARTBEAT] = (200, {"success": True, "server_time": datetime.now(UTC).isoformat(), "key_rotation_available": False})
        odd.answers[EVENTS] = (200, {"success": True, "accepted": 1})
        yield odd


@pytest.fixture
def spool(tmp_path):
    return make_spool(tmp_path, max_bytes=1_200)


@pytest.fixture
def config(server, tmp_path):
    return make_config(tmp_path, url=server.url)


@pytest.fixture
def reporter(config, spool):
    keys = KeyRing(config)
    link = Link(config, lambda: keys.current)
    reporter = Reporter(config, Outbox(spool), keys, link=link, health=lambda: {"version": "1"})
    reporter.keys = keys
    yield reporter
    reporter.close()


def posted(server, path):
    return [body for where, body in server.posted if where == path]


def test_clock_of_the_server_is_learned(server, reporter):
    server.answers[HEARTBEAT] = (200, {"success": True, "server_time": (datetime.now(UTC) + timedelta(seconds=90)).isoformat()})
    reporter.beat()
    assert reporter.clock_offset_ms == pytest.approx(90_000, abs=2_000)
    reporter.beat()
    assert posted(server, HEARTBEAT)[1]["clock_offset_ms"] == pytest.approx(90_000, abs=2_000)


def test_what_was_dropped_is_told_exactly_and_once(server, spool, reporter):
    for at in range(0, 300, 60):
        put_round(spool, 100, at=at)
    reporter.send_events()
    (body,) = posted(server, EVENTS)
    assert (body["device_id"], [event["kind"] for event in body["events"]]) == ("pi-1", ["spool_dropped"])
    details = body["events"][0]["details"]
    assert set(details) == {"seq_start", "seq_end", "from", "to", "records", "reason"}
    assert details["records"] == 500 - spool.depth().records
    reporter.send_events()
    assert len(posted(server, EVENTS)) == 1


def test_event_that_was_not_taken_is_sent_again_unchanged(server, spool, reporter):
    for at in range(0, 300, 60):
        put_round(spool, 100, at=at)
    server.answers[EVENTS] = (502, {})
    reporter.send_events()
    for at in range(300, 600, 60):
        put_round(spool, 100, at=at)
    server.answers[EVENTS] = (200, {"success": True})
    reporter.send_events()
    first, second = posted(server, EVENTS)
    assert second["events"][0] == first["events"][0]
    assert second["events"][1]["details"]["seq_start"] == first["events"][0]["details"]["seq_end"] + 1


def test_older_server_keeps_the_agent_working_and_the_events_waiting(server, reporter, spool):
    server.answers.clear()
    Outbox(spool).put("started", "hello")
    assert reporter.beat() >= 600
    assert reporter.send_events() >= 600
    assert Outbox(spool).count() == 1


def test_key_is_replaced_when_the_server_asks_and_confirmed_with_the_new_one(server, reporter, config):
    server.answers[HEARTBEAT] = (200, {"success": True, "key_rotation_available": True})
    server.answers[ROTATE] = (200, {"success": True, "key": NEW_KEY, "expires_old_at": "2026-12-01T00:00:00Z"})
    assert reporter.beat() == 0.0
    assert reporter.keys.current == NEW_KEY
    assert config.key_file.read_text().strip() == NEW_KEY
    assert config.key_file.stat().st_mode & 0o777 == 0o600
    server.answers[HEARTBEAT] = (200, {"success": True, "key_rotation_available": False})
    reporter.beat()
    assert [key for path, key in server.keys if path == HEARTBEAT] == [KEY, NEW_KEY]
    assert [key for path, key in server.keys if path == ROTATE] == [KEY]


def test_new_key_that_is_not_accepted_gives_way_to_the_former(server, reporter, config):
    server.answers[HEARTBEAT] = (200, {"success": True, "key_rotation_available": True})
    server.answers[ROTATE] = (200, {"success": True, "key": NEW_KEY})
    reporter.beat()
    server.answers[HEARTBEAT] = (401, {"success": False, "error": "no"})
    assert reporter.beat() == 0.0
    assert (reporter.keys.current, config.key_file.read_text().strip()) == (KEY, KEY)


@pytest.mark.parametrize("answer", [{"success": True, "key": "<html>"}, {"success": True}, {"success": False}])
def test_answer_without_a_key_changes_nothing(server, reporter, config, answer):
    server.answers[HEARTBEAT] = (200, {"success": True, "key_rotation_available": True})
    server.answers[ROTATE] = (200, answer)
    assert reporter.beat() > 0
    assert config.key_file.read_text().strip() == KEY


def test_events_are_bounded_but_for_what_was_dropped(spool, monkeypatch):
    monkeypatch.setattr("edge_collector.outbox.MOST_KEPT", 10)
    for at in range(0, 300, 60):
        put_round(spool, 100, at=at)
    outbox = Outbox(spool)
    for number in range(30):
        outbox.put("discovery", str(number))
    kinds = [kind for (kind,) in spool.db.execute("SELECT kind FROM events")]
    assert kinds.count("spool_dropped") == 1
    assert kinds.count("discovery") <= 11
