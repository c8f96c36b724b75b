"""One miner's turn in a round: what is remembered of it between two events."""

from __future__ import annotations

from cgminer.client import Timeouts
from cgminer.errors import MinerError
from cgminer.poll.exchange import Exchange
from cgminer.poll.policy import Target
from cgminer.poll.readiness import Readiness
from cgminer.reading import read_miner


class Turn:
    """The miner with its attempts so far.

    Between two attempts it is resting. `ears` are requests that were not answered in time and still wait, while the miner is asked again.
    """

    __slots__ = (
        "attempts",
        "dialogue",
        "ears",
        "endpoint",
        "exchange",
        "is_opening",
        "is_resting",
        "last_error",
        "raw",
        "target",
        "timeouts",
    )

    def __init__(self, target: Target, timeouts: Timeouts) -> None:
        self.target = target
        self.timeouts = timeouts
        self.attempts = 0
        self.raw: dict[str, bytes] = {}
        """What was received, by the command as it was sent, in whichever attempt."""
        self.dialogue = read_miner(joined=target.joined, raw=self.raw)
        self.exchange: TurnExchange | None = None
        self.ears: list[TurnExchange] = []
        self.last_error: MinerError | None = None
        self.endpoint = target.address.endpoint
        self.is_resting = False
        self.is_opening = True
        """The next request is the first of its attempt."""

    @property
    def is_silent(self) -> bool:
        """Nothing is under way and nothing will be: all that could be tried came to nothing."""
        return not self.exchange and not self.ears and not self.is_resting

    def begin_attempt(self) -> None:
        self.attempts += 1
        self.is_resting = False

    def rest(self) -> None:
        """The attempt failed; the next one starts from the beginning."""
        self.is_resting = True
        self.is_opening = True
        self.dialogue = read_miner(joined=self.target.joined, raw=self.raw)

    def postpone(self) -> None:
        """The attempt was broken off for want of a socket, which is not the miner's fault."""
        self.attempts -= 1
        self.rest()

    def go_on_with(self, exchange: TurnExchange) -> None:
        """Of several requests this one was answered."""
        self.dialogue = exchange.dialogue
        self.is_resting = False


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
        super().__init__(turn.target.address, request, where=turn.endpoint, timeouts=turn.timeouts, readiness=readiness)
        turn.is_opening = False
