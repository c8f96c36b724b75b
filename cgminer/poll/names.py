"""Host names, resolved beside the round: a name server that hangs delays only the miners that need it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from cgminer.address import Address, Endpoint, resolve
from cgminer.errors import MinerNameError

Asker = TypeVar("Asker")


class Resolver(Generic[Asker]):
    """At most a few threads that resolve addresses and ring `wake` when an answer is there.

    They are daemons because getaddrinfo cannot be interrupted: one that hangs must not hold up the round or the exit.
    """

    def __init__(self, wake: Callable[[], None], *, most_threads: int = 8) -> None:
        self._wake = wake
        self._most_threads = most_threads
        self._threads = 0
        self._asked: queue.SimpleQueue[tuple[Address, Asker] | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[tuple[Asker, Endpoint | MinerNameError]] = queue.SimpleQueue()

    def ask(self, address: Address, asker: Asker) -> None:
        self._asked.put((address, asker))
        if self._threads < self._most_threads:
            self._threads += 1
            threading.Thread(target=self._work, name="resolve miner names", daemon=True).start()

    def answers(self) -> list[tuple[Asker, Endpoint | MinerNameError]]:
        """What was found since the last call."""
        return [self._answered.get() for _ in range(self._answered.qsize())]

    def close(self) -> None:
        for _ in range(self._threads):
            self._asked.put(None)

    def _work(self) -> None:
        while (question := self._asked.get()) is not None:
            address, asker = question
            found: Endpoint | MinerNameError
            try:
                found = resolve(address)
            except MinerNameError as error:
                found = error
            self._answered.put((asker, found))
            self._wake()
