"""Readings by column, as a storage takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter, ne
from typing import Any

import msgspec

from telemetry.readings import Reading
from telemetry.storage import columns
from telemetry.storage.base import Columns

_encode_lines = msgspec.json.Encoder().encode_lines
_CARRIED = [name for name in columns.FACTS if name in columns.KEPT]


def columns_of(readings: Iterable[Reading], *, miner_keys: Mapping[str, int], stored_time: Callable[[datetime], Any]) -> Columns:
    """Every column of the batch, ordered by miner and time. `stored_time` gives times the form in which the storage takes them."""
    keyed = sorted([(miner_keys[reading.miner_id], reading.timestamp, reading) for reading in readings])
    ordered = [reading for _, _, reading in keyed]
    keys = [key for key, _, _ in keyed]
    found: Columns = {name: list(map(attrgetter(name), ordered)) for name in columns.MEASUREMENTS + columns.FACTS}
    found["miner_id"] = keys
    found["timestamp"] = times = [stored_time(timestamp) for _, timestamp, _ in keyed]
    found["newest"] = list(map(ne, keys, [*keys[1:], None]))
    found["listed"] = list(found["online"])
    found["last_online_at"] = [at if online else None for at, online in zip(times, found["online"], strict=True)]
    for name in columns.LISTS:
        found[name] = _json([getattr(reading, name) or () for reading in ordered])
    for start, end in _runs(found["newest"]):
        _settle_run(found, start, end)
    return found


def _json(values: Sequence[Any]) -> list[str]:
    """Each value as JSON; all at once and then divided, since JSON has no raw line breaks."""
    return _encode_lines(values).decode().split("\n")[:-1]


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
