"""The ways of polling a farm that `bench/poll` compares. Each reads every miner once and says what that took."""

from __future__ import annotations

import resource
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from cgminer.address import Address
from cgminer.client import MinerClient
from cgminer.errors import MinerError
from cgminer.parsers import parse_snapshot
from cgminer.poll import Outcome, RoundPolicy, Target, poll_in_batches
from cgminer.reading import JOINED
from cgminer.simulator import MinerSpec
from cgminer.snapshot import Snapshot
from cgminer.wire import encode

Store = Callable[[list[Outcome]], None]
"""Takes each batch of outcomes as it comes, in the calling thread."""

REFERENCE_THREADS = 20
KNOWN_DEAD = 3
BATCH, FLUSH_S, MOST_UNREAD = 2_000, 0.5, 6_000
"""As the poller stores them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One round. `answered_s` is when the last miner that answered had been read (and stored), `cpu_s` counts every polling process."""

    design: str
    miners: int
    answered: int
    round_s: float
    answered_s: float
    cpu_s: float
    peak_mb: float


class Stopwatch:
    """Measures from its making to `measured`."""

    def __init__(self) -> None:
        self._cpu = cpu_seconds()
        self.started = time.monotonic()
        self._last_answer = self.started
        self._answered = 0

    def answer(self, count: int) -> None:
        if count:
            self._answered += count
            self._last_answer = time.monotonic()

    def measured(self, design: str, miners: int) -> Measured:
        return Measured(
            design=design,
            miners=miners,
            answered=self._answered,
            round_s=time.monotonic() - self.started,
            answered_s=self._last_answer - self.started,
            cpu_s=cpu_seconds() - self._cpu,
            peak_mb=peak_megabytes(),
        )


def cpu_seconds() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def together(parts: Sequence[Measured]) -> Measured:
    """One round that was polled in parts at the same time, each by a process of its own."""
    return Measured(
        design=parts[0].design,
        miners=sum(part.miners for part in parts),
        answered=sum(part.answered for part in parts),
        round_s=max(part.round_s for part in parts),
        answered_s=max(part.answered_s for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
        peak_mb=sum(part.peak_mb for part in parts),
    )


def one_selector(specs: Sequence[MinerSpec], *, store: Store, begin: Callable[[], None]) -> Iterator[Measured]:
    """Ours: a first round that knows nothing of the miners, and one that remembers the first. Each waits for `begin`."""
    known: dict[str, Target] = {}
    for design in ("ours, first round", "ours, next round"):
        begin()
        yield _selector_round(design, specs, known, store=store)


def _selector_round(design: str, specs: Sequence[MinerSpec], known: dict[str, Target], *, store: Store) -> Measured:
    watch = Stopwatch()
    targets = [known.get(spec.miner_id) or Target(spec.miner_id, Address(spec.host, spec.port)) for spec in specs]
    for outcomes in poll_in_batches(targets, policy=RoundPolicy(most_unread=MOST_UNREAD), enough=BATCH, within_s=FLUSH_S):
        store(outcomes)
        watch.answer(sum(outcome.snapshot is not None for outcome in outcomes))
        known.update((str(outcome.target.key), _next_time(outcome)) for outcome in outcomes)
    return watch.measured(design, len(specs))


def _next_time(outcome: Outcome) -> Target:
    """The miner in the next round, with what the poller keeps of this one."""
    before, failed = outcome.target, outcome.error is not None and not outcome.cut_off
    return Target(before.key, before.address, joined=outcome.joined, failures=KNOWN_DEAD if failed else 0)


def threads_in_place(specs: Sequence[MinerSpec]) -> list[Measured]:
    """The reference: twenty threads, three connections a miner, and the retries made by the thread that has the miner."""
    watch = Stopwatch()
    with ThreadPoolExecutor(REFERENCE_THREADS) as pool:
        for done in as_completed([pool.submit(_read_in_place, spec) for spec in specs]):
            watch.answer(done.result() is not None)
    return [watch.measured("reference", len(specs))]


def _read_in_place(spec: MinerSpec) -> Snapshot | None:
    client = MinerClient(Address(spec.host, spec.port))
    try:
        replies = {command: client.request(command) for command in ("summary", "stats", "pools")}
        return parse_snapshot(replies)
    except MinerError:
        return None


def bare_sockets(specs: Sequence[MinerSpec], *, give_up_s: float = 2.0) -> list[Measured]:
    """The floor: connect, send, receive until the miner closes; nothing is parsed, nothing is tried again."""
    waiting = deque((spec.host, spec.port) for spec in specs)
    request = encode(JOINED)
    open_sockets: dict[int, socket.socket] = {}
    watch = Stopwatch()
    poll = select.epoll()
    last_event = time.monotonic()
    while (waiting or open_sockets) and time.monotonic() - last_event < give_up_s:
        for _ in range(min(64, len(waiting), 15_000 - len(open_sockets))):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(waiting.popleft())
            open_sockets[connection.fileno()] = connection
            poll.register(connection, select.EPOLLOUT)
        for number, event in poll.poll(0 if waiting else 0.05):
            last_event = time.monotonic()
            if event & select.EPOLLOUT:
                open_sockets[number].send(request)
                poll.modify(number, select.EPOLLIN)
            elif (complete := _is_complete(open_sockets[number])) is not None:
                open_sockets.pop(number).close()
                watch.answer(complete)
    measured = watch.measured("floor, no parsing", len(specs))
    for connection in open_sockets.values():
        connection.close()
    return [measured]


def _is_complete(connection: socket.socket) -> bool | None:
    """Whether the miner closed after its reply; None while there is more to come, False when it broke off."""
    try:
        return None if connection.recv(65_536) else True
    except OSError:
        return False
