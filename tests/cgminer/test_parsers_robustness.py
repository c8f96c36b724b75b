"""Whatever a reply holds: the error tree or a snapshot whose every value is plausible, and never slow."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import fuzz_replies
from cgminer import plausible
from cgminer.errors import MinerError
from cgminer.parsers import parse_snapshot, wanted_commands
from cgminer.snapshot import Snapshot
from cgminer.wire import READ_COMMANDS, decode, is_complete
from tests.cgminer.miner_samples import machines, raw, replies

SAMPLES = [reply for machine in machines() for reply in replies(machine).values()]
NAMES = sorted(
    {name for reply in SAMPLES for part in reply.values() if type(part) is list for row in part if type(row) is dict for name in row}
)
TEXTS = (
    "a\x00b",
    "\ud800",
    "stratum+tcp://a:1",
    "0-0-0-0",
    "60-58",
    "nan",
    "",
    "13,500.00",
    "13,500.00\x1d",
    "  6.0 ",
    " ooo xxo",
    "MM ID0",
    "Temp[",
    "Ver[1246-1] MGHS[1 2] PS[1 2 3 4 5 6]",
    "{}",
    "GH",
    "'STATS':{",
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.text(max_size=20)
    | st.lists(st.integers() | st.none(), max_size=3)
    | st.dictionaries(st.sampled_from(NAMES), st.integers() | st.text(max_size=5), max_size=3)
)
ROWS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=12)
SECTIONS = st.sampled_from(["STATUS", "SUMMARY", "STATS", "POOLS", "VERSION", "DEVS", "DEVDETAILS", "Msg", "TEMPS", "FANS", "LCD", "INFO"])
REPLIES = st.dictionaries(
    st.sampled_from(sorted(READ_COMMANDS)),
    st.dictionaries(SECTIONS, st.lists(ROWS | VALUES, max_size=3) | ROWS | VALUES, max_size=4),
    max_size=5,
)


def assert_plausible(snapshot: Snapshot) -> None:
    numbers = [getattr(snapshot, field.name) for field in fields(snapshot)]
    numbers += [getattr(board, field.name) for board in snapshot.boards for field in fields(board)]
    assert all(math.isfinite(number) and number >= -50 for number in numbers if type(number) in (int, float))
    rates = (snapshot.hashrate_ghs, snapshot.hashrate_5s_ghs, snapshot.hashrate_expected_ghs)
    assert all(0 <= rate <= 1e12 for rate in rates if rate is not None)
    assert snapshot.power_consumption is None or 1 <= snapshot.power_consumption <= 100_000
    temperatures = (snapshot.temperature_min, snapshot.temperature_max, *snapshot.temperature_chips, *snapshot.temperature_boards)
    assert all(-50 <= value <= 150 for value in temperatures if value is not None)
    assert all(200 <= speed <= 30_000 for speed in snapshot.fan_speeds)
    assert sum(pool.active for pool in snapshot.pools) <= 1
    assert_storable(snapshot)


def assert_storable(snapshot: Snapshot) -> None:
    """PostgreSQL takes neither NUL nor half a surrogate pair, JSON neither NaN nor infinity."""
    written = json.dumps(asdict(snapshot), ensure_ascii=False, allow_nan=False)
    written.encode("utf-8")
    assert "\\u00" not in written


@settings(max_examples=400)
@given(REPLIES)
def test_any_reply_gives_the_error_tree_or_plausible_values(found: dict[str, dict[str, Any]]) -> None:
    assert set(wanted_commands(found)) <= READ_COMMANDS
    try:
        snapshot = parse_snapshot(found)
    except MinerError:
        return
    assert_plausible(snapshot)
    snapshot.as_record()


@settings(max_examples=400)
@given(st.binary(max_size=300))
def test_any_bytes_give_the_error_tree_or_an_object(garbage: bytes) -> None:
    is_complete(garbage)
    with contextlib.suppress(MinerError):
        assert isinstance(decode(garbage), dict)


@settings(max_examples=200)
@given(st.sampled_from(machines()), st.data())
def test_sample_cut_anywhere_gives_the_error_tree_or_plausible_values(machine: str, data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(replies(machine))))
    whole = raw(machine, command)
    try:
        snapshot = parse_snapshot({command: decode(whole[: data.draw(st.integers(0, len(whole)))])})
    except MinerError:
        return
    assert_plausible(snapshot)


def test_five_thousand_mutated_replies_keep_to_the_error_tree_and_the_time_limit() -> None:
    outcome = fuzz_replies.run(5_000, seed=7)
    assert outcome.snapshots > 1_000
    assert outcome.slowest_ms <= fuzz_replies.LIMIT_MS, outcome.slowest[:500]


@pytest.mark.parametrize(
    "document",
    [
        b'{"SUMMARY":[{' + b",".join(b'"fan%d":1' % index for index in range(60_000)) + b"}]}",
        b'{"STATS":[{"MM ID0":"' + b"Fan1[1500] " * 80_000 + b'"}]}',
        b'{"POOLS":[' + b",".join(b'{"URL":"a"}' for _ in range(70_000)) + b"]}",
        b'{"STATS":[{"chain_acn1":1,"temp_pcb1":"' + b"1-" * 400_000 + b'"}]}',
        b"{" + b'"' * 65_000,
        b'{"a":[' + b'{"b":1}' * 9_300,
        b'{"a":["1":"2"' + b',"1":"2"' * 8_100,
    ],
    ids=["names", "modules", "rows", "sensors", "quotes", "objects", "pairs"],
)
def test_reply_made_to_be_expensive_is_not(document: bytes) -> None:
    sample = fuzz_replies.Sample("none", "stats", document)
    assert fuzz_replies.cost_of(document, sample, {}) <= fuzz_replies.LIMIT_MS


@pytest.mark.parametrize("space", ["\x1d", "\x85", "\u2003"])
def test_number_with_thousands_is_read_whatever_white_space_follows(space: str) -> None:
    assert plausible.number(f"13,500.5{space}") == 13_500.5
