"""One round: a single thread that drives every miner's sockets through one selector.

Nothing in here waits for a miner. A miner is a `Turn` that moves on when its socket is ready or its time is up; whatever must
happen later (a retry, a look at the clock) is an entry in a heap of timers.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache, partial

from cgminer import faults, wire
from cgminer.client import Timeouts
from cgminer.errors import MinerError, MinerNameError, MinerReplyError, MinerTimeout
from cgminer.poll.exchange import Exchange, OutOfSocketsError
from cgminer.poll.garbage import rare_collections
from cgminer.poll.names import Resolver
from cgminer.poll.policy import Outcome, RoundPolicy, Target
from cgminer.reading import Answer, Reply, read_miner
from cgminer.sockets import Wakeup, sockets_allowed

_SHORTAGE_PAUSE_S = 0.05
_UNREAD_PAUSE_S = 0.05


class Turn:
    """What the round remembers of one miner between its events."""

    __slots__ = ("attempts", "dialogue", "endpoint", "exchange", "last_error", "target", "timeouts")

    def __init__(self, target: Target, timeouts: Timeouts) -> None:
        self.target = target
        self.timeouts = timeouts
        self.attempts = 0
        self.dialogue = read_miner(joined=target.joined)
        self.exchange: Exchange | None = None
        self.last_error: MinerError | None = None
        self.endpoint = target.address.endpoint

    def start_over(self) -> None:
        self.dialogue = read_miner(joined=self.target.joined)


class Round:
    """Reads every target once. `run` blocks its thread until all outcomes were handed to `deliver`, in lists, as they come."""

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        policy: RoundPolicy,
        deliver: Callable[[list[Outcome]], None],
        unread: Callable[[], int] = lambda: 0,
    ) -> None:
        self._policy = policy
        self._deliver = deliver
        self._unread = unread
        # Known-dead miners last: they would only hold sockets that live ones could use.
        self._fresh = deque(sorted(targets, key=policy.is_known_dead))
        self._again: deque[Turn] = deque()
        self._turns: set[Turn] = set()
        self._done: list[Outcome] = []
        self._left = len(self._fresh)
        self._most_open = sockets_allowed(min(self._left, policy.most_in_flight or self._left))
        self._open = 0
        self._buffered = 0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._wakeup = Wakeup(self._selector)
        self._resolver: Resolver[Turn] = Resolver(self._wakeup.ring)
        self._stopped = False
        # When the sockets were last looked at. What had come by then was read, so no miner is called late because this machine is slow.
        self._looked_at = 0.0

    def run(self) -> None:
        ends = time.monotonic() + self._policy.deadline_s
        try:
            with rare_collections():
                while self._left and not self._stopped:
                    self._turn(ends)
        finally:
            self._close()

    def _turn(self, ends: float) -> None:
        self._start_some()
        self._looked_at = time.monotonic()
        for key, _ in self._selector.select(self._pause(ends)):
            self._ready(key.data)
        self._run_timers()
        if time.monotonic() >= ends:
            self._give_up()
        self._hand_over()

    def stop(self) -> None:
        """Let `run` return soon, from any thread; miners without an outcome get none."""
        self._stopped = True
        self._wakeup.ring()

    def _start_some(self) -> None:
        for _ in range(self._policy.starts_per_turn):
            if not self._may_start():
                return
            if self._fresh:
                target = self._fresh.popleft()
                turn = Turn(target, self._policy.first_timeouts(target))
                self._turns.add(turn)
            else:
                turn = self._again.popleft()
            self._begin(turn)

    def _may_start(self) -> bool:
        return bool(self._fresh or self._again) and self._open < self._most_open and self._unread() < self._policy.most_unread

    def _begin(self, turn: Turn) -> None:
        if turn.endpoint is None:
            self._resolver.ask(turn.target.address, turn)
            self._later(self._policy.resolve_s, partial(self._check_name, turn))
            return
        turn.attempts += 1
        self._talk(turn, partial(next, turn.dialogue))

    def _talk(self, turn: Turn, advance: Callable[[], str]) -> None:
        """Let the dialogue take a step, and do what it says: ask the next command, or be done."""
        try:
            command = advance()
        except StopIteration as finished:
            self._finish(turn, answer=finished.value)
        except MinerError as error:
            self._attempt_failed(turn, error)
        except Exception as bug:  # noqa: BLE001 - a parser's mistake about one strange reply must not cost the others their round
            self._finish(turn, error=MinerReplyError(f"{turn.target.address}: the reply could not be read ({bug!r}); please report it"))
        else:
            self._ask(turn, _request(command))

    def _ask(self, turn: Turn, request: bytes) -> None:
        assert turn.endpoint is not None
        address, where, timeouts = turn.target.address, turn.endpoint, turn.timeouts
        try:
            exchange = Exchange(address, request, where=where, timeouts=timeouts, selector=self._selector, owner=turn)
        except OutOfSocketsError:
            self._most_open = max(1, self._open)
            self._later(_SHORTAGE_PAUSE_S, partial(self._ask, turn, request))
        except MinerError as error:
            self._tell(turn, error)
        else:
            turn.exchange = exchange
            self._open += 1
            self._later(min(self._policy.quick_s, turn.timeouts.connect_s), partial(self._check, turn, exchange))

    def _ready(self, turn: Turn | None) -> None:
        if turn is None:
            self._wakeup.clear()
            self._take_names()
            return
        exchange = turn.exchange
        assert exchange is not None
        raw, error = None, None
        held = exchange.held
        try:
            raw = exchange.advance()
        except MinerError as failure:
            error = failure
        self._buffered += exchange.held - held
        if error or raw is not None:
            self._hang_up(turn, exchange)
        if error:
            self._tell(turn, error)
        elif raw is not None:
            reply = Reply(raw, (time.monotonic() - exchange.started) * 1000)
            self._talk(turn, partial(turn.dialogue.send, reply))
        elif self._buffered > self._policy.most_buffered_bytes:
            self._hang_up(turn, exchange)
            self._tell(turn, MinerReplyError(f"{turn.target.address}: given up, too many unfinished long replies at once"))

    def _tell(self, turn: Turn, error: MinerError) -> None:
        self._talk(turn, partial(turn.dialogue.throw, error))

    def _check(self, turn: Turn, exchange: Exchange) -> None:
        """Look at an exchange that has been quiet for a while: over time, in the way of others, or free to go on waiting."""
        if turn.exchange is not exchange:
            return
        left = exchange.deadline - self._looked_at
        if left <= 0:
            self._hang_up(turn, exchange)
            turn.timeouts = self._policy.retry_timeouts
            self._tell(turn, exchange.out_of_time())
        elif self._fresh and self._open >= self._most_open:
            self._hang_up(turn, exchange)
            self._postpone(turn)
        else:
            self._later(min(left, self._policy.quick_s), partial(self._check, turn, exchange))

    def _postpone(self, turn: Turn) -> None:
        turn.attempts -= 1
        turn.start_over()
        self._again.append(turn)

    def _attempt_failed(self, turn: Turn, error: MinerError) -> None:
        if not (isinstance(error, MinerTimeout) and isinstance(turn.last_error, MinerTimeout)):  # the first wait was the longest
            turn.last_error = faults.located(error, turn.target.address)
        if not error.worth_retrying or turn.attempts >= self._policy.attempts_for(turn.target):
            self._finish(turn, error=turn.last_error)
            return
        turn.start_over()
        self._later(self._policy.retries.delay(turn.attempts - 1), partial(self._again.append, turn))

    def _finish(self, turn: Turn, *, answer: Answer | None = None, error: MinerError | None = None, cut_off: bool = False) -> None:
        if turn.exchange:
            self._hang_up(turn, turn.exchange)
        self._turns.discard(turn)
        self._left -= 1
        self._done.append(_outcome(turn, answer, error, cut_off=cut_off))

    def _take_names(self) -> None:
        for turn, found in self._resolver.answers():
            if turn not in self._turns:
                continue
            if isinstance(found, MinerNameError):
                self._finish(turn, error=found)
            else:
                turn.endpoint = found
                self._again.append(turn)

    def _check_name(self, turn: Turn) -> None:
        if turn.endpoint is None and turn in self._turns:
            address = turn.target.address
            self._finish(turn, error=MinerNameError(f'{address}: no name server said where "{address.host}" is; check the configuration'))

    def _give_up(self) -> None:
        seconds = self._policy.deadline_s
        self._turns.update(Turn(target, self._policy.timeouts) for target in self._fresh)
        for turn in tuple(self._turns):
            late = MinerTimeout(f"{turn.target.address}: no reading before the round's deadline of {seconds:g} s")
            self._finish(turn, error=turn.last_error or late, cut_off=turn.last_error is None)

    def _hand_over(self) -> None:
        if self._done:
            self._deliver(self._done)
            self._done = []

    def _hang_up(self, turn: Turn, exchange: Exchange) -> None:
        self._buffered -= exchange.held
        self._open -= 1
        turn.exchange = None
        exchange.close()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._serial), action))

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._looked_at:
            heapq.heappop(self._timers)[2]()

    def _pause(self, ends: float) -> float:
        if self._may_start():
            return 0.0
        until = min(ends, self._timers[0][0]) if self._timers else ends
        pause = max(0.0, until - time.monotonic())
        return min(pause, _UNREAD_PAUSE_S) if self._fresh or self._again else pause

    def _close(self) -> None:
        for turn in self._turns:
            if turn.exchange:
                turn.exchange.close()
        self._resolver.close()
        self._wakeup.close()
        self._selector.close()


@lru_cache(maxsize=64)
def _request(command: str) -> bytes:
    return wire.encode(command)


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
        cut_off=cut_off,
        finished_at=datetime.now(UTC),
    )
