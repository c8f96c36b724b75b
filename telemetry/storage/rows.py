"""Readings as rows in `columns.ROW` order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from telemetry.readings import Reading
from telemetry.storage import columns
from telemetry.storage.base import Row

_numbers = attrgetter(*columns.NUMBERS)
_words = attrgetter(*columns.WORDS)
_facts = attrgetter(*columns.FACTS)
_lists = attrgetter(*columns.LISTS)
_NO_FACTS = (None,) * len(columns.FACTS)
_NO_LISTS = (None,) * len(columns.LISTS)
_encode = msgspec.json.Encoder().encode


def rows_of(readings: Iterable[Reading], *, miner_keys: Mapping[str, int], stored_time: Callable[[datetime], Any]) -> list[Row]:
    """One row a reading, ordered by miner and time; facts and lists only where the live and the detail row come from.

    `stored_time` gives times the form in which the storage takes them.
    """
    keyed = sorted([(miner_keys[reading.miner_id], reading.timestamp, reading) for reading in readings])
    rows: list[Row] = []
    for key, items in groupby(keyed, itemgetter(0)):
        of_miner = [item[2] for item in items]
        if len(of_miner) == 1:
            rows.append(_only_row(key, of_miner[0], stored_time(of_miner[0].timestamp)))
        else:
            rows += _rows_of_miner(key, of_miner, [stored_time(reading.timestamp) for reading in of_miner])
    return rows


def _only_row(key: int, reading: Reading, at: Any) -> Row:
    """The row of a miner with one reading in the batch, which is nearly every miner."""
    if not reading.online:
        return (True, False, key, at, None, *_numbers(reading), *_words(reading), *_facts(reading), *_NO_LISTS)
    return (True, True, key, at, at, *_numbers(reading), *_words(reading), *_facts(reading), *_json(reading))


def _rows_of_miner(key: int, readings: Sequence[Reading], times: Sequence[Any]) -> list[Row]:
    """`readings` are in time order. The last one carries the facts that only earlier ones of the batch reported."""
    last = len(readings) - 1
    listed = next((index for index in range(last, -1, -1) if readings[index].online), None)
    rows = []
    for index, (reading, at) in enumerate(zip(readings, times, strict=True)):
        facts = _known_facts(readings) if index == last else _NO_FACTS
        last_online = times[listed] if listed is not None and index == last else None
        lists = _json(reading) if index == listed else _NO_LISTS
        rows.append((index == last, index == listed, key, at, last_online, *_numbers(reading), *_words(reading), *facts, *lists))
    return rows


def _known_facts(readings: Sequence[Reading]) -> tuple[Any, ...]:
    newest, *earlier = [_facts(reading) for reading in reversed(readings)]
    return tuple(
        next((facts[index] for facts in (newest, *earlier) if facts[index] is not None), None) if name in columns.KEPT else newest[index]
        for index, name in enumerate(columns.FACTS)
    )


def _json(reading: Reading) -> list[str]:
    return [_encode(value).decode() if value else columns.EMPTY_LIST for value in _lists(reading)]
