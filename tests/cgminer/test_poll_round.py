"""A round over many miners: nobody healthy is delayed or lost because of what others do."""

from __future__ import annotations

import gc
import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from cgminer.address import Address
from cgminer.client import RetryPolicy, Timeouts
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerNameError, MinerReplyError, MinerTimeout, PortClosed
from cgminer.poll import Outcome, RoundPolicy, Target, exchange, poll_in_batches, poll_round
from cgminer.poll.garbage import rare_collections
from cgminer.poll.readiness import EpollReadiness, Readiness, SelectorReadiness
from cgminer.poll.round import Round
from cgminer.poll.turn import TurnExchange
from cgminer.simulator import MinerSpec, SimulatedFleet, State, build_fleet
from tests.cgminer.strange_servers import (
    GOOD_REPLY,
    JOINED_REPLY,
    Behaviour,
    StrangeServer,
    answers,
    answers_and_stays,
    answers_late,
    drips,
    hangs_up,
    never_ends,
    port_without_listener,
    resets,
    stays_silent,
)
from tests.ports import free_port
from tests.servers import wait_until

QUICK = RoundPolicy(
    quick_s=0.1,
    timeouts=Timeouts(connect_s=0.5, send_s=0.5, receive_s=1.0),
    retry_timeouts=Timeouts(connect_s=0.2, send_s=0.2, receive_s=0.2),
    retries=RetryPolicy(attempts=3, backoff_s=0.05),
    deadline_s=15,
)
ONE_TRY = RoundPolicy(timeouts=Timeouts(receive_s=0.5), retries=RetryPolicy(attempts=1), deadline_s=15)


@pytest.fixture(scope="module")
def fleet() -> Iterator[SimulatedFleet]:
    """Sixty miners: a few of each kind of trouble, the rest healthy."""
    shares = {state: 0.05 for state in State if state not in (State.HEALTHY, State.SLOW)}
    specs = build_fleet(60, first_address="127.0.52.1", port=free_port(), shares=shares)
    with SimulatedFleet(specs, latency=(0.001, 0.02)) as fleet:
        yield fleet


def target(spec: MinerSpec, *, failures: int = 0, joined: bool | None = None) -> Target:
    return Target(spec.miner_id, Address(spec.host, spec.port), joined=joined, failures=failures)


def poll_one(address: Address, *, policy: RoundPolicy = QUICK, failures: int = 0) -> Outcome:
    (outcome,) = poll_round([Target("m1", address, failures=failures)], policy=policy)
    return outcome


def test_every_miner_has_one_outcome_that_fits_its_state(fleet: SimulatedFleet) -> None:
    outcomes = {outcome.target.key: outcome for outcome in poll_round(map(target, fleet.specs), policy=QUICK)}
    assert len(outcomes) == 60
    expected = {State.DEAD: MinerTimeout, State.REFUSED: PortClosed, State.DENIED: MinerAccessDenied}
    for spec in fleet.specs:
        outcome = outcomes[spec.miner_id]
        assert type(outcome.error) is expected.get(spec.state, type(None))
        assert (outcome.snapshot is None) is (outcome.error is not None)


def test_healthy_miners_come_before_the_dead_are_given_up(fleet: SimulatedFleet) -> None:
    outcomes = list(poll_round(map(target, fleet.specs), policy=QUICK))
    answered = [place for place, outcome in enumerate(outcomes) if outcome.snapshot]
    given_up = [place for place, outcome in enumerate(outcomes) if isinstance(outcome.error, MinerTimeout)]
    assert max(answered) < min(given_up)


def test_outcomes_come_while_the_round_still_runs(fleet: SimulatedFleet) -> None:
    started = time.monotonic()
    polling = poll_round(map(target, fleet.specs), policy=QUICK)
    next(polling)
    assert time.monotonic() - started < 0.5
    polling.close()


def test_batches_hold_enough_outcomes_or_what_came_within_the_time(fleet: SimulatedFleet) -> None:
    sizes = [len(batch) for batch in poll_in_batches(map(target, fleet.specs), policy=QUICK, enough=20, within_s=0.3)]
    assert sum(sizes) == 60
    assert sizes[0] >= 20
    assert sizes[-1] == 3  # the dead, once their retries are over


def test_leaving_the_loop_early_ends_the_round_at_once(fleet: SimulatedFleet) -> None:
    polling = poll_round(map(target, fleet.specs), policy=RoundPolicy())
    next(polling)
    started = time.monotonic()
    polling.close()
    assert time.monotonic() - started < 0.5


def test_outcome_remembers_whether_the_firmware_knows_joins(fleet: SimulatedFleet) -> None:
    healthy = [spec for spec in fleet.specs if spec.state is State.HEALTHY]
    joined = {spec.miner_id: spec.catalogued.shape.joins for spec in healthy}
    first = {outcome.target.key: outcome.joined for outcome in poll_round(map(target, healthy), policy=QUICK)}
    again = [target(spec, joined=first[spec.miner_id]) for spec in healthy]
    second = {outcome.target.key: outcome.joined for outcome in poll_round(again, policy=QUICK)}
    assert first == second == joined


def test_round_without_miners_is_over_at_once() -> None:
    assert list(poll_round([])) == []


def test_fewer_sockets_than_miners_lose_nobody(fleet: SimulatedFleet) -> None:
    """Dead miners would hold all three sockets; they give them up and are asked again at the end."""
    policy = RoundPolicy(
        quick_s=0.05,
        timeouts=QUICK.timeouts,
        retry_timeouts=QUICK.retry_timeouts,
        retries=RetryPolicy(attempts=1),
        deadline_s=15,
        most_in_flight=3,
    )
    outcomes = list(poll_round(map(target, fleet.specs), policy=policy))
    answered = {outcome.target.key for outcome in outcomes if outcome.snapshot}
    silent = {State.DEAD, State.REFUSED, State.DENIED}
    assert answered == {spec.miner_id for spec in fleet.specs if spec.state not in silent}


@pytest.fixture
def usual_collections() -> Iterator[tuple[int, int, int]]:
    """Python's own thresholds, whatever another test's program set in this process."""
    found = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield gc.get_threshold()
    gc.set_threshold(*found)


def test_last_round_to_end_restores_how_often_garbage_is_looked_for(usual_collections: tuple[int, int, int]) -> None:
    with ExitStack() as second:
        with rare_collections():
            second.enter_context(rare_collections())
            during = gc.get_threshold()
        assert gc.get_threshold() == during
    assert gc.get_threshold() == usual_collections
    assert during[0] > usual_collections[0]


def test_slow_miner_that_gave_up_its_socket_is_still_read() -> None:
    with ExitStack() as stack:
        slow = stack.enter_context(StrangeServer(answers_late(JOINED_REPLY, 0.7)))
        quick = [stack.enter_context(StrangeServer(answers(JOINED_REPLY))) for _ in range(3)]
        targets = [Target(index, server.address) for index, server in enumerate([slow, *quick])]
        policy = RoundPolicy(quick_s=0.2, timeouts=QUICK.timeouts, most_in_flight=1, deadline_s=15)
        outcomes = list(poll_round(targets, policy=policy))
    assert [outcome.target.key for outcome in outcomes][-1] == 0
    assert all(outcome.snapshot for outcome in outcomes)
    assert outcomes[-1].attempts == 1


def test_slow_miner_keeps_its_connection_when_nobody_waits_for_it() -> None:
    with StrangeServer(answers_late(JOINED_REPLY, 0.6)) as server:
        outcome = poll_one(server.address)
        assert outcome.snapshot
        assert outcome.attempts == len(server.requests) == 1


OVERLAPPING = replace(QUICK, again_after_s=0.2)


def test_slow_miner_is_read_from_its_first_request_though_it_was_asked_again() -> None:
    with StrangeServer(answers_late(JOINED_REPLY, 0.6)) as server:
        started = time.monotonic()
        outcome = poll_one(server.address, policy=OVERLAPPING)
        assert outcome.snapshot
        assert time.monotonic() - started < 0.75  # a second request alone would be answered after 0.85 s
        assert outcome.attempts == len(server.requests) > 1


def test_silent_miner_is_given_up_when_its_first_request_is_and_not_attempt_by_attempt() -> None:
    with StrangeServer(stays_silent) as server:
        started = time.monotonic()
        outcome = poll_one(server.address, policy=OVERLAPPING)
        assert 0.95 < time.monotonic() - started < 1.25
        assert outcome.attempts == len(server.requests) == 3
        assert "no answer within 1 s" in str(outcome.error)


def test_first_request_that_still_waits_at_the_deadline_says_nothing_about_the_miner() -> None:
    with StrangeServer(stays_silent) as server:
        outcome = poll_one(server.address, policy=replace(OVERLAPPING, deadline_s=0.5))
    assert outcome.cut_off
    assert outcome.attempts > 1


def test_round_is_the_same_where_the_system_has_no_epoll(fleet: SimulatedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> dict[int | str, tuple[bool, str | None, int]]:
        outcomes = poll_round(map(target, fleet.specs), policy=QUICK)
        return {
            each.target.key: (each.snapshot is not None, each.error.error_type if each.error else None, each.attempts) for each in outcomes
        }

    usual = seen()
    monkeypatch.setattr("cgminer.poll.round.readiness", SelectorReadiness)
    assert seen() == usual


def test_silent_miner_is_tried_three_times() -> None:
    with StrangeServer(stays_silent) as server:
        outcome = poll_one(server.address)
        assert isinstance(outcome.error, MinerTimeout)
        assert outcome.attempts == len(server.requests) == 3


def test_refused_miner_is_tried_three_times_and_read_when_it_comes_back() -> None:
    with port_without_listener() as address:
        outcome = poll_one(address)
    assert isinstance(outcome.error, MinerConnectionError)
    assert outcome.attempts == 3


def test_known_dead_miner_gets_one_short_attempt() -> None:
    with StrangeServer(stays_silent) as server:
        started = time.monotonic()
        outcome = poll_one(server.address, failures=5)
        assert outcome.attempts == 1
        assert time.monotonic() - started < 0.5


def test_miner_that_comes_back_during_the_round_is_read() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        comes_back = threading.Timer(0.2, _answer_once, [listener])
        comes_back.start()
        policy = RoundPolicy(retries=RetryPolicy(attempts=3, backoff_s=0.5), deadline_s=15)
        outcome = poll_one(Address(*listener.getsockname()), policy=policy)
        comes_back.join()
    assert outcome.snapshot
    assert outcome.attempts == 2


def _answer_once(listener: socket.socket) -> None:
    listener.listen()
    connection, _ = listener.accept()
    with connection:
        connection.recv(4095)
        connection.sendall(JOINED_REPLY)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(answers(b"<html><h1>It works!</h1></html>"), MinerReplyError, id="html"),
        pytest.param(answers(b"\x16\x03\x01\xff\xfe\x00\x80\x81"), MinerReplyError, id="binary"),
        pytest.param(answers(b"Socket connect failed: Connection refused"), MinerReplyError, id="plain text"),
        pytest.param(answers(b'{"a":' * 50_000), MinerReplyError, id="deep nesting"),
        pytest.param(answers(b'{"error":"not found"}'), MinerReplyError, id="another JSON service"),
        pytest.param(answers(b'{"STATUS":7,"SUMMARY":[[[]]],"id":{}}'), MinerReplyError, id="wrong types"),
        pytest.param(answers(b'{"a":"' + b"x" * 1_200_000), MinerReplyError, id="huge"),
        pytest.param(never_ends, MinerReplyError, id="endless"),
        pytest.param(hangs_up, MinerAccessDenied, id="closes early"),
        pytest.param(resets, MinerAccessDenied, id="resets"),
        pytest.param(answers_and_stays(b"\0"), MinerAccessDenied, id="only a nul, and stays"),
        pytest.param(drips(GOOD_REPLY, 0.05), MinerTimeout, id="one byte at a time"),
        pytest.param(answers_and_stays(GOOD_REPLY[:60]), MinerTimeout, id="truncated, and stays"),
        pytest.param(stays_silent, MinerTimeout, id="never answers"),
    ],
)
def test_strange_machine_is_an_error_within_its_budget_and_never_a_reading(behaviour: Behaviour, error: type[Exception]) -> None:
    with StrangeServer(behaviour) as server:
        started = time.monotonic()
        outcome = poll_one(server.address, policy=ONE_TRY)
        assert type(outcome.error) is error
        assert outcome.snapshot is None
        assert str(outcome.error).startswith(str(server.address))
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answers_and_stays(GOOD_REPLY + b"\0"), id="never closes after the nul"),
        pytest.param(answers_and_stays(GOOD_REPLY), id="never closes, no nul"),
        pytest.param(answers(GOOD_REPLY.replace(b"Summary", b"Summ\nary")), id="raw newline in a text"),
        pytest.param(answers(GOOD_REPLY + b"\0\0garbage"), id="garbage after the document"),
        pytest.param(answers(GOOD_REPLY[:-9]), id="cut short by the firmware's buffer"),
    ],
)
def test_imperfect_reply_is_still_read(behaviour: Behaviour) -> None:
    with StrangeServer(behaviour) as server:
        outcome = poll_one(server.address)
        assert outcome.snapshot is not None
        assert outcome.snapshot.hashrate_ghs == 99.0


@pytest.mark.parametrize("kind", [EpollReadiness, SelectorReadiness])
def test_what_comes_before_the_request_is_not_overlooked(kind: type[Readiness[TurnExchange]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgminer.poll.round.readiness", kind)
    with StrangeServer(answers_and_stays(JOINED_REPLY + b"\0"), reads_request=False) as server:
        assert poll_one(server.address, policy=ONE_TRY).snapshot


def test_strange_machines_delay_no_healthy_miner(fleet: SimulatedFleet) -> None:
    strange = (never_ends, drips(GOOD_REPLY, 0.02), stays_silent, answers(b"x" * 1_100_000), resets, answers(b"<html>"))
    healthy = [spec for spec in fleet.specs if spec.state is State.HEALTHY]
    with ExitStack() as stack:
        servers = [stack.enter_context(StrangeServer(behaviour)) for behaviour in strange]
        targets = [*(Target(str(server.address), server.address) for server in servers), *map(target, healthy)]
        outcomes = list(poll_round(targets, policy=QUICK))
    keys = [outcome.target.key for outcome in outcomes if outcome.snapshot or isinstance(outcome.error, MinerTimeout)]
    assert set(keys[: len(healthy)]) == {spec.miner_id for spec in healthy}


def test_deadline_ends_the_round_and_reports_everyone() -> None:
    policy = RoundPolicy(deadline_s=0.4, most_in_flight=2)
    with StrangeServer(stays_silent) as server:
        started = time.monotonic()
        outcomes = list(poll_round([Target(number, server.address) for number in range(6)], policy=policy))
        assert time.monotonic() - started < 1.0
    assert sorted(outcome.target.key for outcome in outcomes) == list(range(6))
    assert all(isinstance(outcome.error, MinerTimeout) and "deadline" in str(outcome.error) for outcome in outcomes)
    assert all(outcome.cut_off for outcome in outcomes)


def test_miner_that_failed_by_itself_before_the_deadline_is_not_cut_off() -> None:
    policy = RoundPolicy(quick_s=0.1, timeouts=Timeouts(receive_s=0.1), retries=RetryPolicy(attempts=2, backoff_s=5), deadline_s=1.5)
    with StrangeServer(stays_silent) as server:
        (outcome,) = poll_round([Target("m", server.address)], policy=policy)
    assert not outcome.cut_off
    assert "no answer within 0.1 s" in str(outcome.error)


POLL_ONE = """
import sys
from cgminer.address import Address
from cgminer.client import Timeouts
from cgminer.poll import RoundPolicy, Target, poll_round
policy = RoundPolicy(timeouts=Timeouts(receive_s=0.6))
(outcome,) = poll_round([Target("m", Address("127.0.0.1", int(sys.argv[1])), joined=True)], policy=policy)
print(outcome.attempts, outcome.error)
"""


def test_reply_that_came_in_time_counts_however_late_this_machine_gets_to_it() -> None:
    with StrangeServer(answers_late(JOINED_REPLY, 0.3)) as server:
        poller = subprocess.Popen([sys.executable, "-c", POLL_ONE, str(server.address.port)], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: bool(server.requests), timeout_s=10, what="the request")
        poller.send_signal(signal.SIGSTOP)
        time.sleep(1.0)  # longer than the miner had
        poller.send_signal(signal.SIGCONT)
        said, _ = poller.communicate(timeout=20)
    assert said == "1 None\n"


def test_name_is_resolved() -> None:
    with StrangeServer(answers(GOOD_REPLY)) as server:
        assert poll_one(Address("localhost", server.address.port)).snapshot


def test_unknown_name_is_a_configuration_error_that_is_not_tried_again() -> None:
    outcome = poll_one(Address("no-such-miner.invalid"))
    assert isinstance(outcome.error, MinerNameError)
    assert outcome.attempts == 0


def test_name_server_that_hangs_delays_only_the_miners_with_names(fleet: SimulatedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        released.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    healthy = [spec for spec in fleet.specs if spec.state is State.HEALTHY]
    named = [Target(f"name {number}", Address(f"miner-{number}.example")) for number in range(30)]
    outcomes = list(poll_round([*named, *map(target, healthy)], policy=RoundPolicy(resolve_s=1.0, deadline_s=15)))
    released.set()
    assert all(outcome.snapshot for outcome in outcomes[: len(healthy)])
    assert [type(outcome.error) for outcome in outcomes[len(healthy) :]] == [MinerNameError] * 30


def test_long_replies_of_all_miners_together_are_bounded() -> None:
    long_and_unfinished = answers_and_stays(b'{"a":"' + b"x" * 500_000)
    policy = RoundPolicy(most_buffered_bytes=900_000, timeouts=Timeouts(receive_s=1.0), retries=RetryPolicy(attempts=1), deadline_s=10)
    with StrangeServer(long_and_unfinished) as server:
        outcomes = list(poll_round([Target(number, server.address) for number in range(4)], policy=policy))
    given_up = [outcome for outcome in outcomes if isinstance(outcome.error, MinerReplyError)]
    assert len(outcomes) == 4
    assert given_up
    assert "at once" in str(given_up[0].error)


def test_caller_who_does_not_keep_up_slows_the_round_instead_of_filling_memory(fleet: SimulatedFleet) -> None:
    healthy = [spec for spec in fleet.specs if spec.state is State.HEALTHY]
    polling = poll_round(map(target, healthy), policy=RoundPolicy(most_unread=3, most_in_flight=3, deadline_s=15))
    first = next(polling)
    time.sleep(0.4)  # a database that takes its time
    after_pause = time.time()
    rest = list(polling)
    assert len([first, *rest]) == len(healthy)
    assert sum(outcome.finished_at.timestamp() > after_pause for outcome in rest) > len(healthy) / 2


def test_stopping_hands_over_what_was_read_a_moment_ago() -> None:
    """Outcomes are gathered for a while, and one that waits for that must not be lost."""
    delivered: list[Outcome] = []
    first_came = threading.Event()

    def answers_second(connection: socket.socket, ends: threading.Event) -> None:
        first_came.wait(5)
        connection.sendall(JOINED_REPLY)

    def deliver(outcomes: list[Outcome]) -> None:
        delivered.extend(outcomes)
        first_came.set()

    def stop_when_one_waits() -> int:
        if polling is not None and polling._handover:
            polling.stop()
        return 0

    polling: Round | None = None
    with StrangeServer(answers(JOINED_REPLY)) as quick, StrangeServer(answers_second) as second, StrangeServer(stays_silent) as silent:
        targets = [Target(number, server.address) for number, server in enumerate((quick, second, silent))]
        polling = Round(targets, policy=QUICK, deliver=deliver, unread=stop_when_one_waits)
        polling.run()
    assert [outcome.target.key for outcome in delivered] == [0, 1]


def test_miner_that_waits_for_a_socket_is_not_given_up_when_its_earlier_request_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    connections = itertools.count()
    connecting = exchange._connecting

    def short_for_a_while(*where: Any) -> Any:
        if next(connections) and time.monotonic() - began < 0.6:
            raise exchange.OutOfSocketsError("none left")
        return connecting(*where)

    def first_hangs_up_late(connection: socket.socket, ends: threading.Event) -> None:
        if time.monotonic() - began < 0.3:
            ends.wait(0.4)
        else:
            connection.sendall(JOINED_REPLY)

    monkeypatch.setattr(exchange, "_connecting", short_for_a_while)
    with StrangeServer(first_hangs_up_late) as server:
        outcome = poll_one(server.address, policy=replace(QUICK, again_after_s=0.1))
    assert outcome.error is None
    assert outcome.attempts == 2
