"""Which requests one reading of a miner takes, whoever carries them.

`read_miner` is a dialogue without sockets: it yields the command to send, and is sent the `Reply` (or thrown the MinerError)
that came of it. The blocking client and the round of thousands both drive it, so what is asked is decided in one place.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from cgminer import wire
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerError, MinerReplyError, MinerTimeout
from cgminer.parsers import parse_snapshot, wanted_commands
from cgminer.snapshot import Snapshot

JOINED = "summary+stats+pools+version"
SEPARATE = tuple(JOINED.split("+"))
MOST_EXTRA_COMMANDS = 8
_SUCCESS_LETTERS = ("S", "I", "W")
_SECTIONS = ("SUMMARY", "STATS", "POOLS", "VERSION", "DEVS")


class Reply(NamedTuple):
    """The bytes that answered one request, and the milliseconds from connect to the last of them."""

    raw: bytes
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
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


def read_miner(*, joined: bool | None = None) -> Dialogue:
    """Read a miner with the joined command, or one by one where the firmware does not know joins (`joined` False).

    Raises MinerReplyError when nothing readable came, and passes on what the carrier threw when the miner did not answer.
    """
    collected = _Collected()
    if joined is not False:
        joined = yield from _ask_joined(collected)
    if not joined:
        yield from _ask_separately(collected)
    for command in wanted_commands(collected.replies)[:MOST_EXTRA_COMMANDS]:
        yield from _ask_extra(command, collected)
    return collected.answer(joined=bool(joined))


@dataclass(slots=True)
class _Collected:
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    latency_ms: float | None = None

    def take(self, command: str, reply: Reply) -> None:
        self.raw[command] = reply.raw
        if self.latency_ms is None:
            self.latency_ms = reply.latency_ms
        self.replies.update(wire.replies(wire.decode(reply.raw), command))

    def has_success(self) -> bool:
        return any(_succeeded(command, reply) for command, reply in self.replies.items())

    def answer(self, *, joined: bool) -> Answer:
        latency_ms = self.latency_ms or 0.0
        snapshot = parse_snapshot(self.replies, latency_ms=latency_ms)
        return Answer(replies=self.replies, raw=self.raw, snapshot=snapshot, latency_ms=latency_ms, joined=joined)


def _succeeded(command: str, reply: Mapping[str, Any]) -> bool:
    try:
        wire.raise_for_status(reply, command=command)
    except MinerError:
        return False
    return _speaks_the_protocol(reply)


def _speaks_the_protocol(reply: Mapping[str, Any]) -> bool:
    """Whether this is a miner's answer: a status in its letters, or a section of rows. Other machines send JSON too."""
    if wire.status_of(reply).get("STATUS") in _SUCCESS_LETTERS:
        return True
    sections = (reply.get(name) for name in _SECTIONS)
    return any(isinstance(section, list) and section and isinstance(section[0], dict) for section in sections)


def _ask_joined(collected: _Collected) -> Generator[str, Reply, bool]:
    """Whether the firmware answered the join as such. One that does not know it refuses, sends nothing, or answers one part."""
    try:
        collected.take(JOINED, (yield JOINED))
    except (MinerReplyError, MinerAccessDenied):
        return False
    if not collected.has_success():
        collected.replies.clear()
    return len(collected.replies) > 1


def _ask_separately(collected: _Collected) -> Generator[str, Reply, None]:
    failure: MinerError | None = None
    for command in SEPARATE:
        if command in collected.replies:
            continue
        try:
            collected.take(command, (yield command))
        except MinerReplyError as error:
            if failure and not collected.replies:
                raise
            failure = error
    if not collected.has_success():
        for command, reply in collected.replies.items():
            wire.raise_for_status(reply, command=command)
        raise MinerReplyError("answers in JSON, but not in the words of the CGMiner API: this is probably not a miner")


def _ask_extra(command: str, collected: _Collected) -> Generator[str, Reply, None]:
    """What the maker's own command adds is welcome; a miner that fails on it still gave its reading."""
    try:
        collected.take(command, (yield command))
    except (MinerReplyError, MinerAccessDenied, MinerConnectionError, MinerTimeout):
        return
