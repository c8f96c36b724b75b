"""The real program against the real server over a link that drops, delays, cuts and lies: the history is what the miners answered."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter

import pytest

from telemetry.models import CollectorUploadLog
from tests.edge_collector.fault_proxy import FAULTS, FaultProxy
from tests.edge_collector.program import (
    INTERVAL_S,
    Program,
    answered,
    assert_history_is_what_was_answered,
    assert_no_number_is_missing,
    configure,
    send_what_is_left,
    stored,
)
from tests.servers import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once, pytest.mark.xdist_group("bad link")]

SLOW = [pytest.mark.slow, pytest.mark.skipif("HASHINSIGHT_SLOW" not in os.environ, reason="takes ten minutes: set HASHINSIGHT_SLOW=1")]


def run_rounds(program: Program, proxy: FaultProxy, *, rounds: int) -> None:
    """Over a link of changing badness: sometimes nothing gets through for a while."""
    chance = random.Random(rounds)
    program.start("run")
    while len(program.rounds) < rounds:
        assert program.process.poll() is None, "".join(program.lines[-20:])
        proxy.badness = chance.choice((0.2, 0.6, 0.6, 1.0))
        goal = min(rounds, len(program.rounds) + chance.randint(3, 12))
        wait_until(lambda goal=goal: len(program.rounds) >= goal or program.process.poll() is not None, timeout_s=60, what="rounds")
    assert program.stop() == 0


@pytest.mark.parametrize("rounds", [60, pytest.param(1_000, marks=SLOW)])
def test_history_is_what_the_miners_answered_over_a_bad_link(site, web, fleet, program, rounds):
    with FaultProxy(web.port, seed=20_261_124) as proxy:
        configure(program, site, url=proxy.url)
        run_rounds(program, proxy, rounds=rounds)
        send_what_is_left(program, proxy)

    assert set(FAULTS) <= proxy.happened.keys()
    assert_history_is_what_was_answered(site, fleet, may_be_missing=program.unread)
    assert_no_number_is_missing(site)
    total = sum(fleet.answers.values())
    duplicates = sum(CollectorUploadLog.objects.values_list("duplicates", flat=True))
    sys.stdout.write(
        f"{len(program.rounds)} rounds, {total} answers, {program.unread} unread, {duplicates} sent twice, {dict(proxy.happened)}\n"
    )


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=SLOW)])
def test_program_that_is_killed_at_any_moment_loses_no_more_than_the_round_it_was_in(site, web, fleet, program, kills):
    chance = random.Random(kills)
    with FaultProxy(web.port, seed=kills, badness=0.3) as proxy:
        configure(program, site, url=proxy.url)
        for _ in range(kills):
            program.start("run")
            before = len(program.rounds)
            if chance.random() < 0.75:
                wait_until(lambda before=before: len(program.rounds) > before, timeout_s=60, what="a round")
            time.sleep(chance.uniform(0, 3 * INTERVAL_S))  # the random point at which it dies, while it starts or at work
            program.stop(signal.SIGKILL)
        send_what_is_left(program, proxy)

    assert_history_is_what_was_answered(site, fleet, may_be_missing=program.unread + kills * len(fleet.miners))
    lost = answered(fleet) - stored(site).keys()
    sys.stdout.write(f"{kills} kills, {len(answered(fleet))} answers, {len(lost)} lost with the rounds they came in\n")
    per_miner = Counter(name for name, _ in lost)
    assert max(per_miner.values(), default=0) <= kills + program.unread
    assert_no_number_is_missing(site)
