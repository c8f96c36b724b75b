"""Whom a round asks, and how patiently."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from cgminer.address import Address
from cgminer.poll import RoundPolicy, Target, due_this_round
from cgminer.sockets import sockets_allowed


def target(failures: int) -> Target:
    return Target("m1", Address("10.0.0.5"), failures=failures)


@pytest.fixture
def restored_file_limit() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_miner_that_answers_is_due_in_every_round() -> None:
    assert all(due_this_round(0, number) for number in range(10))


def test_dead_miner_is_due_in_fewer_rounds_the_longer_it_is_dead() -> None:
    rounds = range(24)
    due = [sum(due_this_round(failures, number) for number in rounds) for failures in (2, 3, 6, 60)]
    assert due == [24, 12, 6, 6]


def test_known_dead_miner_gets_one_short_attempt() -> None:
    policy = RoundPolicy()
    assert policy.attempts_for(target(5)) == 1
    assert policy.first_timeouts(target(5)) == policy.retry_timeouts


def test_every_fourth_attempt_at_a_dead_miner_is_patient_enough_for_a_slow_one() -> None:
    policy = RoundPolicy()
    patient = [failures for failures in range(3, 13) if policy.first_timeouts(target(failures)) == policy.timeouts]
    assert patient == [4, 8, 12]


def test_one_success_makes_it_an_ordinary_miner_again() -> None:
    policy = RoundPolicy()
    assert policy.attempts_for(target(0)) == 3
    assert policy.first_timeouts(target(0)) == policy.timeouts


def test_soft_limit_of_open_files_is_raised_as_far_as_needed(restored_file_limit: None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert sockets_allowed(1_000) == 1_000
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1_000


def test_hard_limit_of_open_files_bounds_the_sockets(restored_file_limit: None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system has no hard limit of open files")
    assert sockets_allowed(10 * hard) < hard
