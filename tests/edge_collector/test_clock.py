"""When rounds start."""

from __future__ import annotations

import itertools
import random
import threading
import time

from edge_collector.clock import RoundClock, run_rounds

A_MICROSECOND = 1e-6
"""What subtracting the times of a clock that counts from the machine's start may cost."""


def starts(seed, count=2_000, *, late=0.0):
    """The moments a clock of 60 s ± 10 s gives when each round takes `late` seconds, counted from its making."""
    clock = RoundClock(60, 10, chance=random.Random(seed))
    begun = clock._origin
    now, found = begun, []
    for _ in range(count):
        now = max(now, clock.next_start(now))
        found.append(now - begun)
        now += late
    return found, clock


def test_rounds_keep_their_grid_for_days_with_jitter_around_it():
    found, clock = starts(1, late=20)
    offsets = [(start - found[1]) - 60 * index for index, start in enumerate(found[1:])]
    assert max(map(abs, offsets)) <= 20
    assert max(offsets) - min(offsets) > 15
    assert clock.skipped == 0


def test_first_round_is_soon_and_collectors_do_not_ask_together():
    first = [starts(seed, 3)[0] for seed in range(300)]
    assert all(0 <= found[0] <= 10 for found in first)
    phases = sorted(found[2] % 60 for found in first)
    assert max(after - before for before, after in itertools.pairwise(phases)) < 6


def test_round_that_takes_too_long_costs_the_next_ones_and_nothing_piles_up():
    found, clock = starts(2, 200, late=130)
    assert min(after - before for before, after in itertools.pairwise(found)) >= 130 - A_MICROSECOND
    assert clock.skipped > 200


def test_rounds_never_overlap():
    clock = RoundClock(0.05, 0.01)
    stop, running, worst = threading.Event(), [], []

    def work():
        running.append(1)
        worst.append(len(running))
        time.sleep(0.08)
        running.pop()
        if len(worst) >= 5:
            stop.set()

    run_rounds(clock, work, stop)
    assert worst == [1] * 5
