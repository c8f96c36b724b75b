"""How much a round may have under way at once: sockets, young requests, bytes of unfinished replies."""

from __future__ import annotations

from collections.abc import Callable

from cgminer.poll.policy import RoundPolicy
from cgminer.poll.turn import TurnExchange
from cgminer.sockets import sockets_allowed


class Budget:
    """Counts what is open. `miners` is the size of the round, `unread` tells how many outcomes wait for their reader."""

    __slots__ = ("_buffered", "_most_buffered", "_most_open", "_most_unread", "_most_young", "_open", "_unread", "_young")

    def __init__(self, policy: RoundPolicy, *, miners: int, unread: Callable[[], int]) -> None:
        wanted = miners * policy.retries.attempts  # a silent miner's earlier requests may still wait
        self._most_open = sockets_allowed(min(wanted, policy.most_in_flight or wanted))
        self._most_young = policy.most_young
        self._most_buffered = policy.most_buffered_bytes
        self._most_unread = policy.most_unread
        self._unread = unread
        self._open = self._young = self._buffered = 0

    @property
    def has_room(self) -> bool:
        """Whether one more miner may be asked, as far as sockets go."""
        return self._open < self._most_open and self._young < self._most_young

    @property
    def is_read(self) -> bool:
        """Whether the reader of the outcomes keeps up."""
        return self._unread() < self._most_unread

    @property
    def is_out_of_sockets(self) -> bool:
        return self._open >= self._most_open

    @property
    def is_out_of_memory(self) -> bool:
        return self._buffered > self._most_buffered

    def opened(self) -> None:
        self._open += 1
        self._young += 1

    def refused(self) -> None:
        """The system gives no more sockets than are open now."""
        self._most_open = max(1, self._open)

    def received(self, size: int) -> None:
        self._buffered += size

    def grown_up(self, exchange: TurnExchange) -> None:
        if exchange.is_young:
            exchange.is_young = False
            self._young -= 1

    def closed(self, exchange: TurnExchange) -> None:
        self._buffered -= exchange.held
        self._open -= 1
        self.grown_up(exchange)
