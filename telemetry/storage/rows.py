"""Readings as rows in `columns.ROW` order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def rows_of(readings: Iterable[Reading], *, miner_keys: Mapping[str, int]) -> list[Row]:
    """One row a reading, ordered by miner and time; facts and lists only where the live and the detail row come from."""
    keyed = sorted([(miner_keys[reading.miner_id], reading.timestamp, reading) for reading in readings])
    rows: list[Row] = []
    for key, items in groupby(keyed, itemgetter(0)):
        of_miner = [item[2] for item in items]
        rows += [_only_row(key, of_miner[0])] if len(of_miner) == 1 else _rows_of_miner(key, of_miner)
    return rows


def _only_row(key: int, reading: Reading) -> Row:
    """The row of a miner with one reading in the batch, which is nearly every miner."""
    if not reading.online:
        return (True, False, key, reading.timestamp, None, *_numbers(reading), *_words(reading), *_facts(reading), *_NO_LISTS)
    at = reading.timestamp
    return (True, True, key, at, at, *_numbers(reading), *_words(reading), *_facts(reading), *_json(reading))


def _rows_of_miner(key: int, readings: Sequence[Reading]) -> list[Row]:
    """`readings` are in time order. The last one carries the facts that only earlier ones of the batch reported."""
    newest = readings[-1]
    listed = next((reading for reading in reversed(readings) if reading.online), None)
    rows = []
    for reading in readings:
        facts = _known_facts(readings) if reading is newest else _NO_FACTS
        last_online = listed.timestamp if listed and reading is newest else None
        lists = _json(reading) if reading is listed else _NO_LISTS
        flags = (reading is newest, reading is listed)
        rows.append((*flags, key, reading.timestamp, last_online, *_numbers(reading), *_words(reading), *facts, *lists))
    return rows


def _known_facts(readings: Sequence[Reading]) -> tuple[Any, ...]:
    newest, *earlier = [_facts(reading) for reading in reversed(readings)]
    return tuple(
        next((facts[index] for facts in (newest, *earlier) if facts[index] is not None), None) if name in columns.KEPT else newest[index]
        for index, name in enumerate(columns.FACTS)
    )


def _json(reading: Reading) -> list[str]:
    return [_encode(value).decode() if value else columns.EMPTY_LIST for value in _lists(reading)]
