"""Telemetry decides what a command did, whatever was claimed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from commands.models import CommandType, MinerCommand, Verification
from commands.verification import WINDOW, Observation, judge
from tests.makers import NOON

LATER = NOON + WINDOW + timedelta(seconds=1)


def sent(command, **params):
    return MinerCommand(command=command, params=params, sent_at=NOON)


def seen(seconds, **fields):
    return Observation(timestamp=NOON + timedelta(seconds=seconds), **{"online": True, **fields})


def verdict(command, *observations, now=LATER):
    result = judge(command, observations, now=now)
    return result.verification if result else None


def test_an_uptime_that_began_after_the_restart_proves_it():
    judged = judge(sent(CommandType.RESTART), [seen(-30, uptime_seconds=90_000), seen(60, uptime_seconds=40)], now=LATER)
    assert judged is not None
    assert judged.verification == Verification.VERIFIED
    assert judged.evidence["seconds"] == 60
    assert judged.evidence["before"]["uptime_seconds"] == 90_000
    assert judged.evidence["after"]["uptime_seconds"] == 40


def test_an_uptime_that_ran_on_speaks_against_the_restart():
    assert verdict(sent(CommandType.REBOOT), seen(-30, uptime_seconds=90_000), seen(60, uptime_seconds=90_090)) == Verification.NOT_VERIFIED


def test_nothing_is_judged_before_its_time_is_over():
    assert verdict(sent(CommandType.RESTART), seen(60, uptime_seconds=90_090), now=NOON + timedelta(seconds=90)) is None


def test_without_a_reading_the_outcome_is_unknown():
    assert verdict(sent(CommandType.RESTART), seen(-30, uptime_seconds=90_000)) == Verification.UNKNOWN


def test_a_miner_that_is_merely_unreachable_proves_no_disable():
    assert verdict(sent(CommandType.DISABLE), seen(60, online=False)) == Verification.UNKNOWN


@pytest.mark.parametrize(
    ("command", "params", "after", "expected"),
    [
        (CommandType.DISABLE, {}, {"hashrate_ghs": 0.0}, Verification.VERIFIED),
        (CommandType.DISABLE, {}, {"hashrate_ghs": 95_000.0}, Verification.NOT_VERIFIED),
        (CommandType.ENABLE, {}, {"hashrate_ghs": 95_000.0}, Verification.VERIFIED),
        (CommandType.ENABLE, {}, {"hashrate_ghs": 0.0}, Verification.NOT_VERIFIED),
        (CommandType.SET_FREQUENCY, {"frequency": 500}, {"frequency_avg": 493.0}, Verification.VERIFIED),
        (CommandType.SET_FREQUENCY, {"frequency": 500}, {"frequency_avg": 620.0}, Verification.NOT_VERIFIED),
        (
            CommandType.SET_POOL,
            {"pool_url": "stratum+tcp://Pool.example.com:3333"},
            {"pool_url": "pool.example.com:3333"},
            Verification.VERIFIED,
        ),
        (
            CommandType.SET_POOL,
            {"pool_url": "stratum+tcp://pool.example.com:3333"},
            {"pool_url": "old.example.com:3333"},
            Verification.NOT_VERIFIED,
        ),
        (CommandType.SET_POOL, {"pool_id": 1}, {"pool_url": "pool.example.com:3333"}, Verification.UNKNOWN),
        (CommandType.SET_FAN, {"speed": 80}, {"hashrate_ghs": 95_000.0}, Verification.UNKNOWN),
    ],
)
def test_the_reading_after_the_command_decides(command, params, after, expected):
    assert verdict(sent(command, **params), seen(60, **after)) == expected


def told_by_server(command, *, before=None, after=None, **params):
    told = sent(command, **params)
    told.leased_by, told.finished_at = "server host:1:x", NOON + timedelta(seconds=1)
    told.result = {"before": before or {}, "after": after or {}}
    return told


@pytest.mark.parametrize(("read", "expected"), [(62, Verification.VERIFIED), (100, Verification.NOT_VERIFIED)])
def test_a_fan_is_proved_by_the_duty_that_the_server_read_back(read, expected):
    assert verdict(told_by_server(CommandType.SET_FAN, after={"fan_duty_percent": read}, speed=60), now=NOON) == expected


def test_what_an_agent_says_of_a_fan_proves_nothing():
    claimed = sent(CommandType.SET_FAN, speed=60)
    claimed.result, claimed.finished_at, claimed.leased_by = {"after": {"fan_duty_percent": 60}}, NOON, "agent-1"
    assert verdict(claimed) == Verification.UNKNOWN


def test_a_pool_named_by_its_number_is_proved_by_the_address_the_server_read_before():
    url = "stratum+tcp://b.example:3333"
    command = told_by_server(CommandType.SET_POOL, before={"expected_pool_url": url}, pool_id=1)
    assert verdict(command, seen(60, pool_url=url)) == Verification.VERIFIED
    assert verdict(command, seen(60, pool_url="stratum+tcp://a.example:3333")) == Verification.NOT_VERIFIED
