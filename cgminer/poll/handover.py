"""Outcomes on their way from the round to the one who stores them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from cgminer.errors import MinerError, MinerReplyError, UnsupportedCommand
from cgminer.poll.policy import MOST_RAW_BYTES, Outcome
from cgminer.poll.turn import Turn
from cgminer.reading import Answer

_GATHER_S: Final = 0.05
"""Outcomes are handed over this often: waking the one who stores them costs both threads more than an outcome does."""


class Handover:
    """Gathers outcomes and hands them to `deliver` in lists."""

    __slots__ = ("_deliver", "_done", "_handed_over_at")

    def __init__(self, deliver: Callable[[list[Outcome]], None]) -> None:
        self._deliver = deliver
        self._done: list[Outcome] = []
        self._handed_over_at = 0.0

    def __bool__(self) -> bool:
        """Whether something waits to be handed over."""
        return bool(self._done)

    def add(self, turn: Turn, answer: Answer | None, error: MinerError | None, *, cut_off: bool) -> None:
        self._done.append(_outcome(turn, answer, error, cut_off=cut_off))

    def hand_over(self, now: float, *, is_last: bool) -> None:
        """All there is, unless that was done a moment ago and more is to come."""
        if self._done and (is_last or now >= self._handed_over_at + _GATHER_S):
            self._deliver(self._done)
            self._done, self._handed_over_at = [], now


def _outcome(turn: Turn, answer: Answer | None, error: MinerError | None, *, cut_off: bool) -> Outcome:
    if error:
        # The traceback would keep the exchange, and with it up to a megabyte of reply, alive as long as the outcome.
        error.__traceback__ = error.__cause__ = error.__context__ = None
    return Outcome(
        target=turn.target,
        snapshot=answer.snapshot if answer else None,
        error=error,
        latency_ms=answer.latency_ms if answer else None,
        attempts=turn.attempts,
        joined=answer.joined if answer else turn.target.joined,
        found_at=turn.address if answer and turn.is_elsewhere else None,
        cut_off=cut_off,
        finished_at=datetime.now(UTC),
        raw=_cut(turn.raw) if turn.target.keep_raw or isinstance(error, (MinerReplyError, UnsupportedCommand)) else None,
    )


def _cut(raw: dict[str, bytes]) -> dict[str, bytes]:
    room, kept = MOST_RAW_BYTES, {}
    for command, reply in raw.items():
        kept[command] = reply[:room]
        room -= len(kept[command])
    return kept
