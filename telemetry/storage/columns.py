"""Which columns a batch fills, read off the models: a new measurement is one line in `Reading` and one in `Measurements`.

A row is a tuple in the order of `ROW`: what has a fixed size first (flags, key, times, numbers), then the texts, lists as JSON among them.
"""

from __future__ import annotations

from django.db import models

from telemetry.models import Measurements, MinerTelemetryDetail, MinerTelemetryLive

KEPT_FACTS = frozenset({"model", "firmware_version", "pool_url", "worker_name"})
KEPT = KEPT_FACTS | {"hashrate_expected_ghs", "boards_total", "last_online_at"}
"""Facts that change slowly: the live row keeps the known one when a reading does not report it."""

KEPT_LISTS = frozenset({"pools"})
"""The same for lists, where an empty one is "not reported"."""

EMPTY_LIST = "[]"

PER_BATCH = ("site_id", "received_at", "source")
"""The same for every live row of a batch."""


FLAGS = ("newest", "listed")
"""`newest` marks the miner's newest reading of the batch, `listed` its newest one with lists (an offline reading has none)."""


def _names(model: type[models.Model], *, beside: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.local_concrete_fields if field.attname not in beside)


def _is_text(name: str) -> bool:
    field = Measurements._meta.get_field(name)
    return isinstance(field, models.CharField)


KEY = ("miner_id", "timestamp")
MEASUREMENTS = tuple(field.attname for field in Measurements._meta.local_fields)
NUMBERS = tuple(name for name in MEASUREMENTS if not _is_text(name))
WORDS = tuple(name for name in MEASUREMENTS if _is_text(name))
FACTS = _names(MinerTelemetryLive, beside=(*KEY, *MEASUREMENTS, *PER_BATCH, "last_online_at"))
LISTS = _names(MinerTelemetryDetail, beside=KEY)

HISTORY = KEY + MEASUREMENTS
LIVE = (*HISTORY, "last_online_at", *FACTS)
DETAIL = KEY + LISTS
FIXED = (*FLAGS, *KEY, "last_online_at", *NUMBERS)
TEXTS = WORDS + FACTS + LISTS
ROW = FIXED + TEXTS

NEWEST, LISTED, MINER, TIMESTAMP, LAST_ONLINE, ONLINE = (ROW.index(name) for name in (*FLAGS, *KEY, "last_online_at", "online"))


def moved(name: str, *, new: str, known: str) -> str:
    """SQL for the value of a live or detail column after a newer reading; `new` and `known` are the rows' names."""
    if name in KEPT:
        return f"coalesce({new}.{name}, {known}.{name})"
    if name in KEPT_LISTS:
        return f"coalesce(nullif({new}.{name}, '{EMPTY_LIST}'), {known}.{name})"
    return f"{new}.{name}"
