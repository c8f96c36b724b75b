"""Carries outcomes from the threads that poll to the one that stores them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from cgminer.poll.policy import Outcome


class Mailbox:
    """Several writers, one reader, and a count of what was not read yet."""

    def __init__(self, *, writers: int = 1) -> None:
        self._writers = writers
        self._letters: queue.SimpleQueue[list[Outcome] | BaseException | None] = queue.SimpleQueue()
        self._writing = threading.Lock()
        # The writers share one counter, the reader has the other, so that reading the difference needs no lock.
        self._put = 0
        self._taken = 0

    def deliver(self, outcomes: list[Outcome]) -> None:
        with self._writing:
            self._put += len(outcomes)
        self._letters.put(outcomes)

    def unread(self) -> int:
        return self._put - self._taken

    def fill(self, produce: Callable[[], None]) -> None:
        """Run `produce`, one writer's work, to its end. What it raises is raised where the outcomes are read."""
        try:
            produce()
        except BaseException as error:  # noqa: BLE001 - handed to the reading thread, which raises it
            self._letters.put(error)
        else:
            self._letters.put(None)

    def batches(self) -> Iterator[list[Outcome]]:
        """Until every writer is through."""
        writing = self._writers
        while writing:
            letter = self._letters.get()
            if letter is None:
                writing -= 1
            elif isinstance(letter, BaseException):
                raise letter
            else:
                yield letter
                self._taken += len(letter)
