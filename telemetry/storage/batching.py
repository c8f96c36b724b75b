"""Readings by column, as a storage takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter, ne
from typing import Any

import msgspec
from msgspec import structs

from telemetry.completion import complete
from telemetry.readings import Reading
from telemetry.storage import columns
from telemetry.storage.base import Columns, Storage

_encode_lines = msgspec.json.Encoder().encode_lines
AT_ONCE = 250
"""So many readings fit into a processor's cache, so all is done with some of them before the next ones are looked at."""
_CARRIED = [name for name in columns.FACTS if name in columns.KEPT]


def columns_of(readings: Iterable[Reading], *, miner_keys: Mapping[str, int], store: Storage) -> Columns:
    """Every column of the batch, completed, ordered by miner and time, times and lists in the form in which `store` takes them."""
    keyed = sorted([(miner_keys[reading.miner_id], reading.timestamp, reading) for reading in readings])
    keys = [key for key, _, _ in keyed]
    found: Columns = {name: [] for name in (*columns.REPORTED, *columns.HISTORY_ALONE)}
    for start in range(0, len(keyed), AT_ONCE):
        some = _completed([reading for _, _, reading in keyed[start : start + AT_ONCE]], store)
        for name, values in found.items():
            values.extend(some[name])
    found["miner_id"] = keys
    found["timestamp"] = times = _times([timestamp for _, timestamp, _ in keyed], store)
    found["newest"] = list(map(ne, keys, [*keys[1:], None]))
    found["listed"] = list(found["online"])
    found["last_online_at"] = [at if online else None for at, online in zip(times, found["online"], strict=True)]
    for start, end in _runs(found["newest"]):
        _settle_run(found, start, end)
    return found


def _completed(readings: Sequence[Reading], store: Storage) -> dict[str, Sequence[Any]]:
    """What `readings` say, by column."""
    found = _reported(readings)
    complete(found)
    for name in columns.LISTS:
        found[name] = store.stored_lines(_lines(found[name]))
    return found


def _times(moments: Sequence[datetime], store: Storage) -> list[Any]:
    """`moments` as `store` holds them; the readings of one round share few of them."""
    stored = {moment: store.stored_time(moment) for moment in set(moments)}
    return [stored[moment] for moment in moments]


def _reported(readings: Sequence[Reading]) -> dict[str, Sequence[Any]]:
    fields = {kind.__struct_fields__ for kind in set[type[Reading]](map(type, readings))}
    if len(fields) != 1:
        return {name: list(map(attrgetter(name), readings)) for name in columns.REPORTED}
    return dict(zip(fields.pop(), zip(*map(structs.astuple, readings), strict=True), strict=True))


def _lines(values: Sequence[Any]) -> bytes:
    """Each value as one line of JSON, which has no raw line breaks; all at once, since that is many times faster than one by one."""
    return _encode_lines([value or () for value in values]) if any(values) else columns.EMPTY_LINE * len(values)


def _runs(newest: Sequence[bool]) -> list[tuple[int, int]]:
    """Where a miner has several readings in the batch: the places of its first one and behind its last one."""
    ends = [place + 1 for place, is_newest in enumerate(newest) if is_newest]
    if len(ends) == len(newest):
        return []
    return [(start, end) for start, end in zip([0, *ends], ends, strict=False) if end - start > 1]


def _settle_run(found: Columns, start: int, end: int) -> None:
    """The newest of a miner's readings carries the facts that only earlier ones reported; the lists come from the newest online one."""
    newest = end - 1
    online = [place for place in range(start, end) if found["online"][place]]
    for place in online[:-1]:
        found["listed"][place] = False
    if online:
        found["last_online_at"][newest] = found["timestamp"][online[-1]]
    for name in _CARRIED:
        values = found[name]
        values[newest] = next((values[place] for place in range(newest, start - 1, -1) if values[place] is not None), None)
