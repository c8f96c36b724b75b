"""Run a round beside the caller, who stores the outcomes as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from cgminer.poll.policy import Outcome, RoundPolicy, Target
from cgminer.poll.round import Round


class Mailbox:
    """Carries outcomes from the thread that polls to the one that stores, and counts what was not taken yet."""

    def __init__(self) -> None:
        self._letters: queue.SimpleQueue[list[Outcome] | BaseException | None] = queue.SimpleQueue()
        # One thread writes each of the two counters, so their difference needs no lock.
        self._put = 0
        self._taken = 0

    def deliver(self, outcomes: list[Outcome]) -> None:
        self._put += len(outcomes)
        self._letters.put(outcomes)

    def unread(self) -> int:
        return self._put - self._taken

    def fill(self, produce: Callable[[], None]) -> None:
        """Run `produce`, which calls `deliver`; then close the box. What it raises is raised where the outcomes are read."""
        try:
            produce()
        except BaseException as error:  # noqa: BLE001 - handed to the reading thread, which raises it
            self._letters.put(error)
        else:
            self._letters.put(None)

    def __iter__(self) -> Iterator[Outcome]:
        while (letter := self._letters.get()) is not None:
            if isinstance(letter, BaseException):
                raise letter
            for outcome in letter:
                self._taken += 1
                yield outcome


def poll_round(targets: Iterable[Target], *, policy: RoundPolicy | None = None) -> Iterator[Outcome]:
    """Read every target once and yield one outcome each, in the order in which they come in.

    Sockets and parsing run in a thread of their own, so the caller may spend its time on a database between two outcomes. The
    round starts with the first `next`; leaving the loop early (or closing the iterator) ends it.
    """
    mailbox = Mailbox()
    polling = Round(targets, policy=policy or RoundPolicy(), deliver=mailbox.deliver, unread=mailbox.unread)
    thread = threading.Thread(target=mailbox.fill, args=(polling.run,), name="poll round", daemon=True)
    thread.start()
    try:
        yield from mailbox
    finally:
        polling.stop()
        thread.join()
