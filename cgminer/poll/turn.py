"""One miner's turn in a round: what is remembered of it between two events."""

from __future__ import annotations

from cgminer.client import Timeouts
from cgminer.errors import MinerError
from cgminer.poll.exchange import Exchange
from cgminer.poll.policy import Target
from cgminer.poll.readiness import Readiness
from cgminer.protocols import elsewhere, protocol_at


class Turn:
    """The miner with its attempts so far.

    Between two attempts it is resting. `ears` are requests that were not answered in time and still wait, while the miner is asked again.
    """

    __slots__ = (
        "address",
        "attempts",
        "dialogue",
        "ears",
        "endpoint",
        "exchange",
        "is_opening",
        "is_resting",
        "last_error",
        "protocol",
        "raw",
        "target",
        "timeouts",
        "wants_socket",
    )

    def __init__(self, target: Target, timeouts: Timeouts) -> None:
        self.target = target
        self.timeouts = timeouts
        self.attempts = 0
        self.address = target.address
        self.protocol = protocol_at(target.address.port)
        self.raw: dict[str, bytes] = {}
        """What was received, by the command as it was sent, in whichever attempt."""
        self.dialogue = self.protocol.read_miner(joined=target.joined, raw=self.raw)
        self.exchange: TurnExchange | None = None
        self.ears: list[TurnExchange] = []
        self.last_error: MinerError | None = None
        self.endpoint = target.address.endpoint
        self.is_resting = False
        self.is_opening = True
        """The next request is the first of its attempt."""
        self.wants_socket = False
        """It has something to ask, and this machine had no socket for it a moment ago."""

    @property
    def is_silent(self) -> bool:
        """Nothing is under way and nothing will be: all that could be tried came to nothing."""
        return not self.exchange and not self.ears and not self.is_resting and not self.wants_socket

    @property
    def is_elsewhere(self) -> bool:
        """It is asked at another port than its target's."""
        return self.address is not self.target.address

    def begin_attempt(self) -> None:
        self.attempts += 1
        self.is_resting = False

    def rest(self) -> None:
        """The attempt failed; the next one starts from the beginning."""
        self.is_resting = True
        self.is_opening = True
        self.wants_socket = False
        self.dialogue = self.protocol.read_miner(joined=None if self.is_elsewhere else self.target.joined, raw=self.raw)

    def turn_elsewhere(self) -> None:
        """Nothing listens where it was asked: the next attempt goes to the machine's other port, or back from there. Before `rest`."""
        other = self.target.address if self.is_elsewhere else elsewhere(self.address)
        if other is None or self.endpoint is None:
            return
        family, place = self.endpoint
        self.address = other
        self.endpoint = family, (place[0], other.port, *place[2:])
        self.protocol = protocol_at(other.port)

    def postpone(self) -> None:
        """The attempt was broken off for want of a socket, which is not the miner's fault."""
        self.attempts -= 1
        self.rest()

    def go_on_with(self, exchange: TurnExchange) -> None:
        """Of several requests this one was answered."""
        self.dialogue = exchange.dialogue
        self.is_resting = self.wants_socket = False


class TurnExchange(Exchange):
    """An exchange that knows whose it is."""

    __slots__ = ("dialogue", "is_ear", "is_opening", "is_young", "turn")

    def __init__(self, turn: Turn, request: bytes, *, readiness: Readiness[TurnExchange]) -> None:
        assert turn.endpoint is not None
        self.turn = turn
        self.dialogue = turn.dialogue
        self.is_opening = turn.is_opening
        self.is_ear = False
        self.is_young = True
        """It was begun a moment ago and its answer may come at any time."""
        super().__init__(
            turn.address,
            request,
            where=turn.endpoint,
            timeouts=turn.timeouts,
            readiness=readiness,
            is_complete=turn.protocol.is_complete,
        )
        turn.is_opening = False
