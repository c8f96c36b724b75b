"""Carries outcomes from the thread that polls to the one that stores them."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Iterator

from cgminer.poll.policy import Outcome


class Mailbox:
    """One writer, one reader, and a count of what was not read yet."""

    def __init__(self) -> None:
        self._is_written = False
        self._letters: queue.SimpleQueue[list[Outcome] | BaseException | None] = queue.SimpleQueue()
        # The writer has one counter, the reader the other, so that reading the difference needs no lock.
        self._put = 0
        self._taken = 0

    def deliver(self, outcomes: list[Outcome]) -> None:
        self._put += len(outcomes)
        self._letters.put(outcomes)

    def unread(self) -> int:
        return self._put - self._taken

    def fill(self, produce: Callable[[], None]) -> None:
        """Run `produce`, the writer's work, to its end. What it raises is raised where the outcomes are read."""
        try:
            produce()
        except BaseException as error:  # noqa: BLE001 - handed to the reading thread, which raises it
            self._letters.put(error)
        else:
            self._letters.put(None)

    def batches(self, *, enough: int = 1, within_s: float = 0.0) -> Iterator[list[Outcome]]:
        """Lists of `enough` outcomes or more, until the writer is through; fewer when the first of them has waited `within_s`."""
        gathered: list[Outcome] = []
        due = math.inf
        while not self._is_written:
            letter = self._next_letter(due)
            if isinstance(letter, BaseException):
                raise letter
            if letter is None:
                self._is_written = True
            elif letter:
                due = due if gathered else time.monotonic() + within_s
                gathered += letter
            if gathered and (len(gathered) >= enough or time.monotonic() >= due or self._is_written):
                yield gathered
                self._taken += len(gathered)
                gathered, due = [], math.inf

    def _next_letter(self, due: float) -> list[Outcome] | BaseException | None:
        """An empty list when `due` passes first."""
        try:
            return self._letters.get(timeout=None if due == math.inf else max(0.0, due - time.monotonic()))
        except queue.Empty:
            return []
