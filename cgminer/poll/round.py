"""One round: a single thread that drives every miner's sockets.

Nothing in here waits for a miner. A miner is a `Turn` that moves on when its socket is ready or its time is up; whatever must
happen later (a retry, a look at the clock) is an entry in a heap of timers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

from cgminer import faults
from cgminer.errors import MinerError, MinerNameError, MinerReplyError, MinerTimeout, PortClosed
from cgminer.poll.budget import Budget
from cgminer.poll.exchange import OutOfSocketsError
from cgminer.poll.garbage import rare_collections
from cgminer.poll.handover import Handover
from cgminer.poll.names import Resolver
from cgminer.poll.policy import Outcome, RoundPolicy, Target
from cgminer.poll.readiness import Readiness, readiness
from cgminer.poll.timetable import Timetable
from cgminer.poll.turn import Turn, TurnExchange
from cgminer.reading import Answer, Dialogue, Reply
from cgminer.sockets import Wakeup

_SHORTAGE_PAUSE_S = 0.05
_UNREAD_PAUSE_S = 0.05


class Round:
    """Reads every target once. `run` blocks its thread until all outcomes were handed to `deliver`, in lists, as they come."""

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        policy: RoundPolicy,
        deliver: Callable[[list[Outcome]], None],
        unread: Callable[[], int] = lambda: 0,
        refuse: Callable[[str], MinerError | None] = lambda host: None,
    ) -> None:
        """`refuse` may give an error for a host, given as a number, that is not to be asked."""
        self._policy = policy
        self._refuse = refuse
        # Known-dead miners last: they would only hold sockets that live ones could use.
        self._fresh = deque(sorted(targets, key=policy.is_known_dead))
        self._again: deque[Turn] = deque()
        self._turns: set[Turn] = set()
        self._begun: deque[TurnExchange] = deque()
        self._answers: list[tuple[Turn, Reply]] = []
        self._handover = Handover(deliver)
        self._left = len(self._fresh)
        self._budget = Budget(policy, miners=self._left, unread=unread)
        first_look_s = min(policy.quick_s, policy.timeouts.connect_s, policy.retry_timeouts.connect_s)
        self._times = Timetable(first_look_s=first_look_s, look=self._look)
        self._readiness: Readiness[TurnExchange] = readiness()
        self._wakeup = Wakeup()
        self._readiness.watch_bell(self._wakeup.bell)
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
            self._handover.hand_over(0.0, is_last=True)
        finally:
            self._close()

    def _turn(self, ends: float) -> None:
        self._start_some()
        self._go_on_with_begun()
        self._looked_at = time.monotonic()
        for exchange, readable in self._readiness.ready(self._pause(ends)):
            if exchange is None:
                self._wakeup.clear()
                self._take_names()
            elif not exchange.is_over:
                self._ready(exchange, readable=bool(readable))
        self._read_answers()
        self._times.run(self._looked_at)
        now = time.monotonic()
        if now >= ends:
            self._give_up()
        self._handover.hand_over(now, is_last=not self._left)

    def stop(self) -> None:
        """Let `run` return soon, from any thread; outcomes that are there are handed over, other miners get none."""
        self._stopped = True
        self._wakeup.ring()

    def _start_some(self) -> None:
        if not self._budget.is_read:
            return
        for _ in range(self._policy.starts_per_turn):
            if not self._budget.has_room:
                return
            if self._fresh:
                target = self._fresh.popleft()
                turn = Turn(target, self._policy.first_timeouts(target))
                self._turns.add(turn)
                self._begin(turn)
            elif self._again:
                turn = self._again.popleft()
                if turn.is_resting:
                    self._begin(turn)
            else:
                return

    def _may_start(self) -> bool:
        return bool(self._fresh or self._again) and self._budget.has_room and self._budget.is_read

    def _begin(self, turn: Turn) -> None:
        if turn.endpoint is None:
            self._resolver.ask(turn.target.address, turn)
            self._times.later(self._policy.resolve_s, partial(self._check_name, turn))
            return
        if not turn.attempts and (error := self._refuse(turn.endpoint[1][0])):
            self._finish(turn, error=error)
            return
        turn.begin_attempt()
        self._talk(turn, turn.dialogue.send, None)

    def _talk(self, turn: Turn, tell: Callable[[Any], str], news: Reply | MinerError | None) -> None:
        """Let the dialogue take a step, and do what it says: ask the next command, or be done."""
        try:
            command = tell(news)
        except StopIteration as finished:
            self._finish(turn, answer=finished.value)
        except MinerError as error:
            self._attempt_failed(turn, error)
        except Exception as bug:  # noqa: BLE001 - a parser's mistake about one strange reply must not cost the others their round
            self._finish(turn, error=MinerReplyError(f"{turn.target.address}: the reply could not be read ({bug!r}); please report it"))
        else:
            self._ask(turn, _request(turn.protocol.encode, command))

    def _ask(self, turn: Turn, request: bytes) -> None:
        try:
            exchange = TurnExchange(turn, request, readiness=self._readiness)
        except OutOfSocketsError:
            self._budget.refused()
            turn.wants_socket = True
            self._times.later(_SHORTAGE_PAUSE_S, partial(self._ask_after_all, turn, turn.dialogue, request))
        except MinerError as error:
            self._talk(turn, turn.dialogue.throw, error)
        else:
            turn.exchange = exchange
            self._begun.append(exchange)
            self._budget.opened()
            self._times.begun(exchange)

    def _go_on_with_begun(self) -> None:
        while self._begun:
            exchange = self._begun.popleft()
            if exchange.is_over:
                continue
            try:
                exchange.go_on()
            except MinerError as error:
                self._failed(exchange, error)

    def _ask_after_all(self, turn: Turn, dialogue: Dialogue, request: bytes) -> None:
        """There was no socket a moment ago; meanwhile an earlier request may have been answered."""
        if turn in self._turns and turn.dialogue is dialogue and not turn.exchange:
            turn.wants_socket = False
            self._ask(turn, request)

    def _ready(self, exchange: TurnExchange, *, readable: bool) -> None:
        turn = exchange.turn
        before = exchange.held
        try:
            raw = exchange.advance(readable=readable)
        except MinerError as error:
            self._budget.received(exchange.held - before)
            self._failed(exchange, error)
            return
        self._budget.received(exchange.held - before)
        if raw is not None:
            self._hang_up(exchange)
            if turn.ears or exchange.is_ear:
                self._answered_among_others(exchange)
            self._answers.append((turn, Reply(raw, (time.monotonic() - exchange.started) * 1000)))
        elif self._budget.is_out_of_memory:
            self._failed(exchange, MinerReplyError(f"{turn.target.address}: given up, too many unfinished long replies at once"))

    def _read_answers(self) -> None:
        """All that came in this turn, one behind the other: the processor is faster at one thing than at sockets and parsing in turns."""
        for turn, reply in self._answers:
            self._talk(turn, turn.dialogue.send, reply)
        self._answers.clear()

    def _answered_among_others(self, exchange: TurnExchange) -> None:
        """One of several requests to a slow miner was answered: it goes on with that one, the others are let go."""
        turn = exchange.turn
        if turn.exchange:
            self._hang_up(turn.exchange)
        self._hang_up_ears(turn)
        turn.go_on_with(exchange)

    def _failed(self, exchange: TurnExchange, error: MinerError) -> None:
        """The exchange came to nothing. An earlier request that only was left waiting says nothing new with that."""
        turn = exchange.turn
        self._hang_up(exchange)
        if exchange.is_ear:
            if turn.is_silent:
                self._finish(turn, error=turn.last_error)
        else:
            self._talk(turn, turn.dialogue.throw, error)

    def _look(self, exchange: TurnExchange) -> None:
        self._budget.grown_up(exchange)
        self._check(exchange)

    def _check(self, exchange: TurnExchange) -> None:
        """Look at an exchange that has been quiet for a while: over time, in the way of others, or free to go on waiting."""
        if exchange.is_over:
            return
        turn = exchange.turn
        left = exchange.deadline - self._looked_at
        if left <= 0:
            turn.timeouts = self._policy.retry_timeouts
            self._failed(exchange, exchange.out_of_time())
        elif self._fresh and self._budget.is_out_of_sockets:
            self._give_way(exchange)
        elif self._is_to_be_asked_again(exchange):
            exchange.is_ear = True
            turn.ears.append(exchange)
            turn.exchange = None
            turn.timeouts = self._policy.retry_timeouts
            self._attempt_failed(turn, exchange.out_of_time())
            self._times.later(min(left, self._policy.quick_s), partial(self._check, exchange))
        else:
            self._times.later(min(left, self._policy.quick_s), partial(self._check, exchange))

    def _is_to_be_asked_again(self, exchange: TurnExchange) -> bool:
        turn = exchange.turn
        silent = exchange.is_sent and exchange.is_opening and not exchange.is_ear and not exchange.held
        waited = self._looked_at - exchange.started >= self._policy.again_after_s
        return silent and waited and turn.attempts < self._policy.attempts_for(turn.target)

    def _give_way(self, exchange: TurnExchange) -> None:
        """Leave the socket to the miners that had no turn yet. This one gets its time afterwards."""
        turn = exchange.turn
        self._hang_up(exchange)
        if not exchange.is_ear or turn.is_silent:
            turn.timeouts = self._policy.first_timeouts(turn.target) if exchange.is_ear else turn.timeouts
            turn.postpone()
            self._again.append(turn)

    def _attempt_failed(self, turn: Turn, error: MinerError) -> None:
        if _says_more(error, turn):
            turn.last_error = faults.located(error, turn.address)
        if error.worth_retrying and turn.attempts < self._policy.attempts_for(turn.target):
            if isinstance(error, PortClosed):
                turn.turn_elsewhere()
            turn.rest()
            self._times.later(self._policy.retries.delay(turn.attempts - 1), partial(self._again.append, turn))
        elif not turn.ears or not error.worth_retrying:
            self._finish(turn, error=turn.last_error)

    def _finish(self, turn: Turn, *, answer: Answer | None = None, error: MinerError | None = None, cut_off: bool = False) -> None:
        if turn.exchange:
            self._hang_up(turn.exchange)
        if turn.ears:
            self._hang_up_ears(turn)
        turn.is_resting = False
        self._turns.discard(turn)
        self._left -= 1
        self._handover.add(turn, answer, error, cut_off=cut_off)

    def _take_names(self) -> None:
        for turn, found in self._resolver.answers():
            if turn not in self._turns:
                continue
            if isinstance(found, MinerNameError):
                self._finish(turn, error=found)
            else:
                turn.endpoint = found
                turn.is_resting = True
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
            failed = None if turn.ears else turn.last_error  # a first request that still waits may yet be answered
            self._finish(turn, error=failed or late, cut_off=failed is None)

    def _hang_up(self, exchange: TurnExchange) -> None:
        turn = exchange.turn
        self._budget.closed(exchange)
        if turn.exchange is exchange:
            turn.exchange = None
        elif exchange.is_ear:
            turn.ears.remove(exchange)
        exchange.close()

    def _hang_up_ears(self, turn: Turn) -> None:
        for ear in tuple(turn.ears):
            self._hang_up(ear)

    def _pause(self, ends: float) -> float:
        if self._may_start():
            return 0.0
        pause = max(0.0, self._times.next_due(ends) - time.monotonic())
        return min(pause, _UNREAD_PAUSE_S) if self._fresh or self._again or self._handover else pause

    def _close(self) -> None:
        for turn in self._turns:
            for exchange in (turn.exchange, *turn.ears):
                if exchange:
                    exchange.close()
        self._resolver.close()
        self._wakeup.close()
        self._readiness.close()


@lru_cache(maxsize=64)
def _request(encode: Callable[[str], bytes], command: str) -> bytes:
    return encode(command)


def _says_more(error: MinerError, turn: Turn) -> bool:
    """Of two timeouts the first wait was the longest; that the other port is closed too is no news."""
    if turn.last_error is None:
        return True
    if isinstance(error, MinerTimeout):
        return not isinstance(turn.last_error, MinerTimeout)
    return not (isinstance(error, PortClosed) and turn.is_elsewhere)
