"""The short way to read an Antminer gives what the long way gives, or leaves the reply to it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cgminer import wire
from cgminer.parsers import parse_snapshot, plans
from cgminer.reading import JOINED, Reply, read_miner
from cgminer.simulator import MinerSpec, State
from cgminer.simulator.miner import SimulatedMiner
from tests.cgminer import miner_samples

Replies = dict[str, dict[str, Any]]
NOW = 1_800_000_000.0
ODD: tuple[Any, ...] = (
    None,
    "",
    0,
    -1,
    1,
    True,
    "x",
    "0",
    "12.5",
    "1,234.5",
    [],
    {},
    [1, None],
    "nan",
    1e18,
    34,
    254,
    "60-58--3",
    "a b",
    "TH",
    1.0,
    "ooxx",
    "E",
)
SPECS = [
    MinerSpec(miner_id=f"m{number}", host="127.0.0.1", port=4028, model=model, seed=number, state=state)
    for number, (model, state) in enumerate(
        (model, state)
        for model in ("Antminer S19", "Antminer S19j Pro", "Antminer S9", "Antminer S19j Pro (Vnish)", "Antminer S21")
        for state in (State.HEALTHY, State.BOARD_LOST, State.SLEEPING, State.OVERHEATED)
    )
]


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_plans", {})


def raw_reply(spec: MinerSpec, *, later_s: float = 0.0) -> bytes:
    text = SimulatedMiner(spec, NOW).read(JOINED, NOW + later_s)
    assert text
    return text.encode()


def replies(spec: MinerSpec, *, later_s: float = 0.0) -> Replies:
    return wire.replies(wire.decode(raw_reply(spec, later_s=later_s)), JOINED)


def learn(known: Replies) -> None:
    plans.learn(known, parse_snapshot(known))


def test_reply_like_one_before_is_read_the_short_way_to_the_same_snapshot() -> None:
    learn(replies(SPECS[0]))
    another = replies(SPECS[0], later_s=3_600)
    found = plans.read_alike(another, latency_ms=41.0)
    assert found == parse_snapshot(another, latency_ms=41.0)
    assert found != parse_snapshot(replies(SPECS[0]), latency_ms=41.0)


def test_first_reply_of_its_kind_is_left_to_the_parsers() -> None:
    learn(replies(SPECS[0]))
    assert plans.read_alike(replies(SPECS[4]), latency_ms=1.0) is None


def test_firmware_that_calls_itself_otherwise_is_looked_at_anew() -> None:
    learn(replies(SPECS[0]))
    renamed = replies(SPECS[0])
    renamed["version"]["VERSION"][0]["Type"] = "Antminer S19 (Braiins OS)"
    assert plans.read_alike(renamed, latency_ms=1.0) is None


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(lambda main, summary: main.update({"GHS 5s": 0.0}), id="does not hash"),
        pytest.param(lambda main, summary: main.update({"GHS av": 94.5e6}), id="average in another unit"),
        pytest.param(
            lambda main, summary: main.update({"chain_rate1": "31.1", "chain_rate2": "31.3", "chain_rate3": "31.6"}), id="boards in TH"
        ),
        pytest.param(lambda main, summary: main.update({"chain_acn2": 0}), id="board without chips that hashes"),
        pytest.param(lambda main, summary: main.update({"temp_pcb4": "50-51-50-51"}), id="sensors in an empty slot"),
        pytest.param(lambda main, summary: summary.update({"Elapsed": 10**10}), id="uptime of centuries"),
        pytest.param(lambda main, summary: summary.update({"Accepted": "many"}), id="counter in words"),
        pytest.param(lambda main, summary: main.update({"total_power": 3250}), id="field that the plan does not know"),
    ],
)
def test_anything_out_of_the_ordinary_is_left_to_the_parsers(trouble: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    learn(replies(SPECS[0]))
    odd = replies(SPECS[0])
    trouble(odd["stats"]["STATS"][1], odd["summary"]["SUMMARY"][0])
    assert plans.read_alike(odd, latency_ms=1.0) is None


def test_short_way_never_differs_from_the_long_one() -> None:
    """Thousands of replies of five firmwares in four states with fields changed, lost and added."""
    chance = random.Random(11)
    fleet = [replies(spec) for spec in SPECS]
    for known in fleet:
        learn(known)
    read = 0
    for _ in range(3_000):
        known = _broken(copy.deepcopy(chance.choice(fleet)), chance)
        found = plans.read_alike(known, latency_ms=1.0)
        if found is not None:
            read += 1
            assert found == parse_snapshot(known, latency_ms=1.0)
    assert read > 100


def _broken(known: Replies, chance: random.Random) -> Replies:
    for _ in range(chance.choice((1, 1, 2, 4))):
        row = chance.choice([row for row in _rows(known) if row])
        name = chance.choice(list(row))
        match chance.randrange(10):
            case 0:
                del row[name]
            case 1:
                row[chance.choice(("MAC", "fan_pwm", "Mode", "temp4", "INFO", "freq2"))] = chance.choice(ODD)
            case _:
                row[name] = chance.choice(ODD)
    return {command: reply for command, reply in known.items() if isinstance(reply, dict)}


def _rows(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _rows(inner)


@pytest.mark.parametrize(
    "machine", [name for name in miner_samples.machines() if "antminer" in name or name in ("vnish", "msk", "fdminer")]
)
def test_samples_are_read_alike_or_not_at_all(machine: str) -> None:
    known = {
        command: reply for command, reply in miner_samples.replies(machine).items() if command in ("summary", "stats", "pools", "version")
    }
    learn(known)
    assert plans.read_alike(known, latency_ms=1.0) in (None, parse_snapshot(known, latency_ms=1.0))


def test_memory_of_shapes_is_bounded() -> None:
    for number in range(plans.MOST_PLANS + 20):
        known = replies(SPECS[0])
        known["stats"]["STATS"][1][f"field {number}"] = 1
        learn(known)
    assert len(plans._plans) <= plans.MOST_PLANS


def test_reading_a_miner_teaches_how_the_next_one_is_read() -> None:
    first = _read(raw_reply(SPECS[0]))
    assert plans.read_alike(replies(SPECS[0]), latency_ms=20.0) == first
    assert _read(raw_reply(SPECS[0])) == first


def _read(raw: bytes) -> object:
    dialogue = read_miner(joined=True)
    next(dialogue)
    with pytest.raises(StopIteration) as finished:
        dialogue.send(Reply(raw, 20.0))
    return finished.value.value.snapshot
