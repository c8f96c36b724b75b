"""What the spool keeps, drops and says of it."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.edge_collector.makers import make_lines, make_spool, put_round, readings_of

NOON = 1_772_323_200.0


def events(spool):
    return [json.loads(details) for (details,) in spool.db.execute("SELECT details FROM events ORDER BY number")]


def test_numbers_go_on_after_a_restart(tmp_path):
    spool = make_spool(tmp_path)
    put_round(spool, 10)
    spool.acknowledge(spool.take_live())
    spool.close()
    again = make_spool(tmp_path)
    put_round(again, 5, at=60)
    batch = again.take_live()
    assert (batch.seq_start, batch.seq_end) == (11, 15)
    assert again.last_acked_seq == 10


def test_batch_that_is_under_way_is_given_to_nobody_else(tmp_path):
    spool = make_spool(tmp_path)
    put_round(spool, 10)
    batch = spool.take_live()
    assert spool.take_live() is None
    spool.put_back(batch)
    assert spool.take_live() == batch


def test_over_its_size_the_oldest_is_dropped_and_named_exactly(tmp_path):
    spool = make_spool(tmp_path, max_bytes=20_000)
    for at in range(0, 6_000, 60):
        put_round(spool, 100, at=at)
    depth = spool.depth()
    assert depth.bytes <= 20_000
    (gap,) = events(spool)
    assert (gap["seq_start"], gap["reason"]) == (1, "size")
    assert gap["records"] == gap["seq_end"] == 10_000 - depth.records
    assert gap["from"] == "2026-03-01T00:00:00.000Z"
    kept = readings_of(spool)
    assert len(kept) == depth.records
    assert gap["to"] < min(timestamp for _, timestamp in kept)
    assert spool.lost_records == gap["records"]


def test_over_its_age_the_oldest_is_dropped_and_named_exactly(tmp_path):
    now = NOON
    spool = make_spool(tmp_path, max_age_s=3_600, clock=lambda: now)
    for at in (0, 1_800, 3_600, 5_400):
        now = NOON + at
        put_round(spool, 10, at=at)
    (gap,) = events(spool)
    assert gap == {
        "seq_start": 1,
        "seq_end": 10,
        "from": "2026-03-01T00:00:00.000Z",
        "to": "2026-03-01T00:00:00.000Z",
        "records": 10,
        "reason": "age",
    }
    assert spool.depth().records == 30


def test_gap_that_was_told_already_is_followed_by_a_new_one(tmp_path):
    spool = make_spool(tmp_path, max_bytes=1_200)
    put_round(spool, 100)
    put_round(spool, 100, at=60)
    put_round(spool, 100, at=120)
    first = events(spool)
    spool.db.execute("UPDATE events SET attempts = 1")
    put_round(spool, 100, at=180)
    assert events(spool)[0] == first[0]
    assert events(spool)[1]["seq_start"] == first[0]["seq_end"] + 1


def test_batch_under_way_is_not_dropped(tmp_path):
    spool = make_spool(tmp_path, max_bytes=3_000)
    put_round(spool, 100)
    batch = spool.take_live()
    for at in (60, 120, 180):
        put_round(spool, 100, at=at)
    spool.put_back(batch)
    assert ("m00000", "2026-03-01T00:00:00.000Z") in readings_of(spool)


def test_merged_rounds_hold_the_same_readings_in_less_room(tmp_path):
    spool = make_spool(tmp_path)
    for at in range(0, 660, 60):
        put_round(spool, 1_000, at=at)
    before = sorted(readings_of(spool)), spool.depth()
    while spool.merge_some():
        pass
    after = sorted(readings_of(spool)), spool.depth()
    assert after[0] == before[0]
    assert after[1].batches == 3  # two full ones and the live round
    assert after[1].records == before[1].records
    assert after[1].bytes < before[1].bytes


def test_rounds_on_both_sides_of_a_sent_one_are_not_merged(tmp_path):
    spool = make_spool(tmp_path, max_records=30)
    for at in (0, 60, 120, 180, 240, 300):
        put_round(spool, 10, at=at)
    middle = spool._shelf.read(21, 30)[0]
    spool.acknowledge(middle)
    while spool.merge_some():
        pass
    batch = spool.take_backlog()
    assert (batch.seq_start, batch.seq_end) == (31, 50)


def test_damaged_file_is_moved_aside_and_named(tmp_path):
    spool = make_spool(tmp_path)
    put_round(spool, 1_000)
    spool.close()
    path = tmp_path / "spool.sqlite3"
    raw = bytearray(path.read_bytes())
    raw[100:] = b"\xff" * (len(raw) - 100)
    path.write_bytes(raw)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    again = make_spool(tmp_path)
    assert again.damaged.exists()
    put_round(again, 5)
    assert again.depth().records == 5


def test_file_is_readable_by_its_owner_alone(tmp_path):
    make_spool(tmp_path)
    assert (tmp_path / "spool.sqlite3").stat().st_mode & 0o777 == 0o600


def test_room_is_given_back_to_the_disk(tmp_path):
    spool = make_spool(tmp_path)
    for at in range(0, 600, 60):
        spool.append(make_lines(2_000, at=at), first_at=NOON, last_at=NOON)
    while batch := spool.take_live() or spool.take_backlog():
        spool.acknowledge(batch)
    while spool.give_back_space(keep_pages=10):
        pass
    spool.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (tmp_path / "spool.sqlite3").stat().st_size < 100_000


def test_power_cut_in_a_transaction_leaves_all_of_it_or_nothing(tmp_path):
    """The other side of `kill -9`: what was not committed is not there after the next start."""
    spool = make_spool(tmp_path)
    put_round(spool, 10)
    with pytest.raises(sqlite3.IntegrityError):
        spool._store([spool._shelf.read(1, 10)[0]])
    put_round(spool, 10, at=60)
    assert len(readings_of(spool)) == 20
