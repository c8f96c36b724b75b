"""Which requests one reading of a miner takes, whoever carries them.

`read_miner` is a dialogue without sockets: it yields the command to send, and is sent the `Reply` (or thrown the MinerError)
that came of it. The blocking client and the round of thousands both drive it, so what is asked is decided in one place.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from cgminer import wire
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerError, MinerReplyError, MinerTimeout
from cgminer.parsers import Firmware, identify, parse_snapshot, plans, wanted_commands
from cgminer.snapshot import Snapshot

BASIC = ("summary", "stats", "pools", "version")
JOINED = "+".join(BASIC)
MOST_REQUESTS = 12


class Reply(NamedTuple):
    """The bytes that answered one request, and the milliseconds from connect to the last of them."""

    raw: bytes
    latency_ms: float


@dataclass(slots=True, kw_only=True)
class Answer:
    """One reading: what was received, what it means, and how it was asked for."""

    replies: Mapping[str, dict[str, Any]]
    """Decoded, by single command."""
    raw: Mapping[str, bytes]
    """As received, by the command as it was sent ("summary+stats+pools+version", "get_version")."""
    snapshot: Snapshot
    latency_ms: float
    joined: bool
    """Whether this firmware answers the joined command; remember it and pass it to the next reading."""


Dialogue: TypeAlias = Generator[str, Reply, Answer]


def read_miner(*, joined: bool | None = None, raw: dict[str, bytes] | None = None) -> Dialogue:
    """Read a miner with the joined command, or one by one where the firmware does not know joins (`joined` False).

    Replies as received are put into `raw`, by the command as sent: it has them also when nothing readable came.

    Raises MinerReplyError when nothing readable came, and passes on what the carrier threw when the miner did not answer.
    """
    collected = _Collected({} if raw is None else raw)
    if joined is not False:
        joined = yield from _ask_joined(collected)
        if joined and (answer := collected.answer_alike()):
            return answer
    if not collected.replies:
        yield from _ask("summary", collected)
    while missing := collected.missing():
        for command in missing:
            yield from _ask(command, collected)
    return collected.answer(joined=bool(joined))


class _Collected:
    __slots__ = ("asked", "failure", "firmware", "latency_ms", "raw", "replies", "succeeded")

    def __init__(self, raw: dict[str, bytes]) -> None:
        self.replies: dict[str, dict[str, Any]] = {}
        self.raw = raw
        self.asked: set[str] = set()
        self.latency_ms: float | None = None
        self.failure: MinerError | None = None
        self.succeeded = False
        """Whether one reply at least is more than an error."""
        self.firmware = Firmware.GENERIC
        """As far as it is known by now."""

    def take(self, command: str, reply: Reply) -> None:
        self.raw[command] = reply.raw
        if self.latency_ms is None:
            self.latency_ms = round(reply.latency_ms, 1)
        found = wire.replies(wire.decode(reply.raw), command)
        self.replies.update(found)
        for name, each in found.items():
            if self.succeeded:
                return
            self.succeeded = _succeeded(name, each)

    def missing(self) -> list[str]:
        """What this firmware, as far as it is known by now, could still tell and was not asked."""
        self.firmware = identify(self.replies)
        wanted = [command for command in wanted_commands(self.replies, firmware=self.firmware) if command not in self.asked]
        return wanted[: max(0, MOST_REQUESTS - len(self.asked))]

    def answer_alike(self) -> Answer | None:
        """The answer to the joined command, where the replies are like many others."""
        latency_ms = self.latency_ms or 0.0
        snapshot = plans.read_alike(self.replies, latency_ms=latency_ms)
        if snapshot is None:
            return None
        return Answer(replies=self.replies, raw=self.raw, snapshot=snapshot, latency_ms=latency_ms, joined=True)

    def answer(self, *, joined: bool) -> Answer:
        if not self.succeeded:
            for command, reply in self.replies.items():
                wire.raise_for_status(reply, command=command)
        latency_ms = self.latency_ms or 0.0
        snapshot = parse_snapshot(self.replies, firmware=self.firmware, latency_ms=latency_ms)
        if _says_nothing(snapshot):
            raise MinerReplyError("answers in JSON, but nothing in it is a miner's: is another device at this address?")
        if self.firmware is Firmware.ANTMINER:
            plans.learn(self.replies, snapshot)
        return Answer(replies=self.replies, raw=self.raw, snapshot=snapshot, latency_ms=latency_ms, joined=joined)


def _ask_joined(collected: _Collected) -> Generator[str, Reply, bool]:
    """Whether the firmware answered the join as such. One that does not know it refuses, sends nothing, or answers one part."""
    try:
        collected.take(JOINED, (yield JOINED))
    except (MinerReplyError, MinerAccessDenied):
        return False
    if not collected.succeeded:
        collected.replies.clear()
    understood = len(collected.replies) > 1
    collected.asked.update(BASIC if understood else collected.replies)
    return understood


def _ask(command: str, collected: _Collected) -> Generator[str, Reply, None]:
    """Ask one command. A miner that answers some commands badly is still read by the others; a machine that answers two of them
    badly and none well is not a miner, and is left alone."""
    collected.asked.add(command)
    try:
        collected.take(command, (yield command))
    except MinerReplyError as error:
        if collected.failure and not collected.replies:
            raise
        collected.failure = error
    except (MinerAccessDenied, MinerConnectionError, MinerTimeout):
        if command in BASIC:
            raise


def _says_nothing(snapshot: Snapshot) -> bool:
    known = (snapshot.model, snapshot.firmware_version, snapshot.hashrate_ghs, snapshot.hashrate_5s_ghs, snapshot.uptime_seconds)
    return not snapshot.boards and not snapshot.pools and all(value is None for value in known)


def _succeeded(command: str, reply: Mapping[str, Any]) -> bool:
    try:
        wire.raise_for_status(reply, command=command)
    except MinerError:
        return False
    return True
