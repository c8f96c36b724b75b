"""Which of a collector's numbers are missing, whatever arrives in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry.sequences import HOLES_AT_MOST, Numbers
from tests.telemetry.farm import minute


def arrive(numbers: Numbers, start: int, end: int) -> None:
    """Readings whose time in minutes is their number."""
    numbers.arrived(start, end, oldest_at=minute(start), newest_at=minute(end))


def missing(numbers: Numbers) -> list[tuple[int, int]]:
    return [(hole.start, hole.end) for hole in numbers.holes]


def test_numbers_that_follow_each_other_leave_no_hole():
    numbers = Numbers()
    for start in (1, 11, 21):
        arrive(numbers, start, start + 9)
    assert (numbers.highest, missing(numbers)) == (30, [])


def test_hole_lies_between_the_readings_around_it():
    numbers = Numbers()
    arrive(numbers, 1, 10)
    arrive(numbers, 21, 30)
    [hole] = numbers.holes
    assert (hole.start, hole.end, hole.missing) == (11, 20, 10)
    assert (hole.from_at, hole.to_at) == (minute(10), minute(21))


def test_replay_newest_first_closes_a_hole_from_its_end():
    numbers = Numbers()
    arrive(numbers, 1, 10)
    arrive(numbers, 41, 50)
    arrive(numbers, 31, 40)
    [hole] = numbers.holes
    assert (hole.start, hole.end, hole.to_at) == (11, 30, minute(31))
    arrive(numbers, 11, 20)
    arrive(numbers, 21, 30)
    assert missing(numbers) == []


def test_batch_that_comes_twice_changes_nothing():
    numbers = Numbers()
    arrive(numbers, 1, 10)
    arrive(numbers, 21, 30)
    for _ in range(2):
        arrive(numbers, 13, 15)
        assert missing(numbers) == [(11, 12), (16, 20)]


def test_numbers_below_the_lowest_that_is_known_are_not_missed():
    numbers = Numbers()
    arrive(numbers, 500, 510)
    assert missing(numbers) == []
    arrive(numbers, 100, 110)
    assert (numbers.lowest, numbers.highest, missing(numbers)) == (100, 510, [(111, 499)])


def test_dropped_numbers_below_the_lowest_that_is_known_are_missing():
    numbers = Numbers()
    arrive(numbers, 21, 30)
    numbers.dropped(1, 10, from_at=minute(1), to_at=minute(10))
    assert [(hole.start, hole.end, hole.is_dropped) for hole in numbers.holes] == [(1, 10, True), (11, 20, False)]


def test_dropped_numbers_are_marked_within_a_hole():
    numbers = Numbers()
    arrive(numbers, 1, 10)
    arrive(numbers, 41, 50)
    numbers.dropped(11, 20, from_at=minute(11), to_at=minute(20))
    assert [(hole.start, hole.end, hole.is_dropped) for hole in numbers.holes] == [(11, 20, True), (21, 40, False)]


def test_dropped_numbers_that_nobody_has_seen_yet_are_a_hole_at_once():
    numbers = Numbers()
    arrive(numbers, 1, 10)
    numbers.dropped(21, 30, from_at=minute(21), to_at=minute(30))
    arrive(numbers, 31, 40)
    assert [(hole.start, hole.end, hole.is_dropped) for hole in numbers.holes] == [(11, 20, False), (21, 30, True)]


def test_dropped_numbers_that_had_arrived_are_not_missing():
    numbers = Numbers()
    arrive(numbers, 1, 10)
    numbers.dropped(5, 10, from_at=minute(5), to_at=minute(10))
    assert missing(numbers) == []


def test_holes_are_bounded_and_the_numbers_in_them_still_counted():
    numbers = Numbers()
    for number in range(0, 4 * HOLES_AT_MOST, 2):
        arrive(numbers, number, number)
    assert len(numbers.holes) == HOLES_AT_MOST
    assert sum(hole.missing for hole in numbers.holes) == 2 * HOLES_AT_MOST - 1


def test_joined_hole_closes_when_as_many_have_arrived_as_were_missing():
    numbers = Numbers()
    for number in range(0, 2 * HOLES_AT_MOST + 10, 2):
        arrive(numbers, number, number)
    for number in range(1, 2 * HOLES_AT_MOST + 9, 2):
        arrive(numbers, number, number)
    assert numbers.holes == []


batch = st.tuples(st.integers(0, 60), st.integers(0, 12), st.booleans())


@given(st.lists(batch, max_size=40))
def test_holes_are_what_a_set_of_numbers_says(batches):
    numbers, arrived, dropped = Numbers(), set(), set()
    for start, length, is_drop in batches:
        span = set(range(start, start + length + 1))
        if is_drop:
            numbers.dropped(start, start + length, from_at=minute(start), to_at=minute(start + length))
            dropped |= span
        else:
            arrive(numbers, start, start + length)
            arrived |= span
    known = {number for hole in numbers.holes for number in range(hole.start, hole.end + 1)}
    heard = arrived | dropped

    assert known == set(range(min(heard, default=0), max(heard, default=-1) + 1)) - arrived
    assert {number for hole in numbers.holes if hole.is_dropped for number in range(hole.start, hole.end + 1)} == known & dropped
    assert all(hole.is_exact for hole in numbers.holes)
    assert [hole.start for hole in numbers.holes] == sorted(hole.start for hole in numbers.holes)
