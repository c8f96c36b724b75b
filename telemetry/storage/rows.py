"""Readings as rows in `columns.ROW` order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from telemetry.readings import Reading
from telemetry.storage import columns
from telemetry.storage.base import Row

_measurements = attrgetter(*columns.MEASUREMENTS)
_facts = attrgetter(*columns.LIVE_ONLY[1:])
_lists = attrgetter(*columns.DETAIL_ONLY)
_NO_FACTS = (None,) * len(columns.LIVE_ONLY)
_NO_LISTS = (None,) * len(columns.DETAIL_ONLY)
_encode = msgspec.json.Encoder().encode


def rows_of(readings: Iterable[Reading], *, miner_keys: Mapping[str, int]) -> list[Row]:
    """One row a reading, ordered by miner and time; facts and lists only where the live and the detail row come from."""
    keyed = sorted(((miner_keys[reading.miner_id], reading.timestamp, reading) for reading in readings), key=_by_miner_and_time)
    rows: list[Row] = []
    start = 0
    for position, (key, _, _) in enumerate(keyed, start=1):
        if position == len(keyed) or keyed[position][0] != key:
            rows.extend(_rows_of_miner(key, [item[2] for item in keyed[start:position]]))
            start = position
    return rows


def _by_miner_and_time(item: tuple[int, Any, Reading]) -> tuple[int, Any]:
    return item[:2]


def _rows_of_miner(key: int, readings: Sequence[Reading]) -> list[Row]:
    """`readings` are in time order. The last one carries the facts that only earlier ones of the batch reported."""
    newest = readings[-1]
    listed = next((reading for reading in reversed(readings) if reading.online), None)
    rows = []
    for reading in readings:
        facts = (listed and listed.timestamp, *_known_facts(readings)) if reading is newest else _NO_FACTS
        lists = tuple([_json(value) for value in _lists(reading)]) if reading is listed else _NO_LISTS
        rows.append((reading is newest, reading is listed, key, reading.timestamp, *_measurements(reading), *facts, *lists))
    return rows


def _known_facts(readings: Sequence[Reading]) -> tuple[Any, ...]:
    facts = _facts(readings[-1])
    if len(readings) == 1:
        return facts
    earlier = [_facts(reading) for reading in reversed(readings[:-1])]
    return tuple(
        next((facts[index] for facts in [facts, *earlier] if facts[index] is not None), None) if name in columns.KEPT else facts[index]
        for index, name in enumerate(columns.LIVE_ONLY[1:])
    )


def _json(value: Any) -> str:
    return _encode(value).decode() if value else columns.EMPTY_LIST
