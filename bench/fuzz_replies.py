"""Mutated replies against the wire and the parsers.

    python bench/fuzz_replies.py --count 1000000 --seed 1

Takes the hand-written samples, breaks them (bytes changed, cut, doubled, spliced, numbers and keys replaced, structure nested), decodes
what comes out and parses it together with the machine's other replies. Nothing but the error tree may come out, no reply may cost more than
50 ms, and what is read by a plan must be what the parsers read.
Exits with 1 when a rule is broken and writes the reply that broke it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cgminer.errors import MinerError  # noqa: E402  the script runs from anywhere
from cgminer.parsers import parse_snapshot, plans, wanted_commands  # noqa: E402
from cgminer.protocols import CGMINER, WHATSMINER_API3, MinerProtocol  # noqa: E402
from cgminer.wire import replies  # noqa: E402

SAMPLES = ROOT / "tests" / "cgminer" / "samples"
LIMIT_MS = 50.0
VALUES = rb"""nan|-inf|1e999|-1|99999999999999999999999|0|null|true|""|"\u0000"|[]|{}|"0-0-0-0"|"-"|"--5--"|{"":{}}|5|"x"|[1,null]""".split(
    b"|"
)
BREAKS = rb"""[[|}{|\'|%%|""|,,|[,{|,}|":"|"STATUS":"E"|"Code":45|"POOLS":5|"STATS":{}|"DEVS":[1,null]""".split(b"|")
TOKENS = (*VALUES, *BREAKS, b"\x00", b"\xff\xfe", b"\n", b"[" * 2000, b'{"a":' * 500, b"9" * 400, b"A" * 5000)


class Sample(NamedTuple):
    machine: str
    command: str
    raw: bytes

    @property
    def protocol(self) -> MinerProtocol:
        return WHATSMINER_API3 if self.command.startswith("get.") else CGMINER


class Outcome(NamedTuple):
    snapshots: int
    refused: int
    slowest_ms: float
    slowest: bytes
    seconds: float


class Broken(Exception):
    """A rule of the fuzz run was broken; holds the reply."""


def load_samples() -> list[Sample]:
    """As they come from the socket: those of Whatsminer's API 3 behind their length."""
    files = sorted(SAMPLES.glob("*/*.txt"))
    return [Sample(file.parent.name, file.stem, _as_sent(file.stem, file.read_bytes())) for file in files]


def _as_sent(command: str, raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "little") + raw if command.startswith("get.") else raw


def mutate(raw: bytes, rng: random.Random, others: list[Sample]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        raw = _mutate_once(raw, rng, others)
    return raw[:1_000_100]


def _mutate_once(raw: bytes, rng: random.Random, others: list[Sample]) -> bytes:
    if not raw:
        return rng.choice(others).raw
    start = rng.randrange(len(raw))
    end = min(len(raw), start + rng.choice((1, 1, 2, 5, 20, 200)))
    match rng.randrange(8):
        case 0:
            return raw[:start]
        case 1:
            return raw[:start] + raw[end:]
        case 2:
            return raw[:start] + bytes(rng.randrange(256) for _ in range(end - start)) + raw[end:]
        case 3:
            return raw[:end] + raw[start:]
        case 4:
            return raw[:start] + rng.choice(TOKENS) + raw[end:]
        case 5:
            return raw[:start] + rng.choice(others).raw[:2000]
        case 6:
            return _replace_value(raw, start, rng)
        case _:
            other = rng.choice(others).raw
            cut = rng.randrange(len(other))
            return raw[:start] + other[cut : cut + 60] + raw[end:]


def _replace_value(raw: bytes, start: int, rng: random.Random) -> bytes:
    """The value after the next colon becomes something else, so that the reply stays JSON and the parsers are reached."""
    colon = raw.find(b":", start)
    if colon < 0:
        return raw
    ends = [found for found in (raw.find(b",", colon), raw.find(b"}", colon)) if found >= 0]
    return raw[: colon + 1] + rng.choice(TOKENS) + raw[min(ends, default=len(raw)) :]


def read_one(raw: bytes, sample: Sample, known: dict[str, dict[str, Any]]) -> bool:
    """Whether the reply became a snapshot. Everything but the error tree passes through."""
    protocol = sample.protocol
    protocol.is_complete(raw)
    try:
        document = protocol.decode(raw)
        found = replies(document, sample.command)
        everything = {**known, **found}
        wanted_commands(everything)
        snapshot = parse_snapshot(everything)
        snapshot.as_record()
        alike = plans.read_alike(everything, latency_ms=0.0)
        if alike is not None and alike != parse_snapshot(everything, latency_ms=0.0):
            raise AssertionError("the short way reads something else than the parsers")
        protocol.check(document, sample.command)
    except MinerError:
        return False
    return True


def cost_of(raw: bytes, sample: Sample, known: dict[str, dict[str, Any]]) -> float:
    """Milliseconds of this thread a reply costs, the best of three: what else the machine does is not its fault."""
    costs = []
    for _ in range(3):
        started = time.thread_time()
        read_one(raw, sample, known)
        costs.append((time.thread_time() - started) * 1000)
    return min(costs)


def mutations(samples: list[Sample], count: int, seed: int) -> Iterator[tuple[Sample, bytes]]:
    rng = random.Random(seed)
    for _ in range(count):
        sample = rng.choice(samples)
        if sample.protocol is WHATSMINER_API3 and rng.random() < 0.5:  # a length that fits, so that the parsers are reached
            yield sample, _as_sent(sample.command, mutate(sample.raw[4:], rng, samples))
        else:
            yield sample, mutate(sample.raw, rng, samples)


def run(count: int, seed: int) -> Outcome:
    samples = load_samples()
    decoded = {sample: sample.protocol.decode(sample.raw) for sample in samples}
    known = {sample: {other.command: reply for other, reply in decoded.items() if other.machine == sample.machine} for sample in samples}
    stock = {command: CGMINER.decode(raw) for machine, command, raw in samples if machine == "antminer_stock"}
    plans.learn(stock, parse_snapshot(stock))
    snapshots, slowest_ms, slowest = 0, 0.0, b""
    began = time.perf_counter()
    for sample, raw in mutations(samples, count, seed):
        siblings = {command: reply for command, reply in known[sample].items() if command != sample.command}
        started = time.perf_counter()
        try:
            snapshots += read_one(raw, sample, siblings)
        except Exception as error:
            raise Broken(f"{type(error).__name__}: {error}\n{sample.machine}/{sample.command}\n{raw[:3000]!r}") from error
        if (time.perf_counter() - started) * 1000 > slowest_ms:
            cost_ms = cost_of(raw, sample, siblings)
            if cost_ms > slowest_ms:
                slowest_ms, slowest = cost_ms, raw
    return Outcome(snapshots, count - snapshots, slowest_ms, slowest, time.perf_counter() - began)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    try:
        outcome = run(options.count, options.seed)
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    rate = options.count / outcome.seconds
    print(f"{options.count:,} replies, seed {options.seed}: {outcome.snapshots:,} read, {outcome.refused:,} refused")
    print(f"slowest {outcome.slowest_ms:.1f} ms ({len(outcome.slowest):,} bytes), {rate:,.0f} replies/s, {outcome.seconds:.0f} s")
    if outcome.slowest_ms > LIMIT_MS:
        print(f"over the limit of {LIMIT_MS:g} ms:\n{outcome.slowest[:3000]!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
