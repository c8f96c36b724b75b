"""Which columns a batch fills, read off the models: a new measurement is one line in `Reading` and one in `Measurements`.

A row is a tuple in the order of `ROW`: two flags, what history keeps, what only the live row has, the lists of the detail row.
"""

from __future__ import annotations

from django.db import models

from telemetry.models import Measurements, MinerTelemetryDetail, MinerTelemetryLive

KEPT = frozenset({"hashrate_expected_ghs", "boards_total", "model", "firmware_version", "pool_url", "worker_name", "last_online_at"})
"""Facts that change slowly: the live row keeps the known one when a reading does not report it."""

KEPT_LISTS = frozenset({"pools"})
"""The same for lists, where an empty one is "not reported"."""

EMPTY_LIST = "[]"

PER_BATCH = ("site_id", "received_at", "source")
"""The same for every live row of a batch."""


def _names(model: type[models.Model], *, beside: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.local_concrete_fields if field.attname not in beside)


FLAGS = ("newest", "listed")
"""`newest` marks the miner's newest reading of the batch, `listed` its newest one with lists (an offline reading has none)."""

KEY = ("miner_id", "timestamp")
MEASUREMENTS = tuple(field.attname for field in Measurements._meta.local_fields)
HISTORY = KEY + MEASUREMENTS
LIVE_ONLY = _names(MinerTelemetryLive, beside=HISTORY + PER_BATCH)
DETAIL_ONLY = _names(MinerTelemetryDetail, beside=KEY)
ROW = FLAGS + HISTORY + LIVE_ONLY + DETAIL_ONLY

NEWEST, LISTED, MINER, TIMESTAMP, ONLINE = (ROW.index(name) for name in (*FLAGS, *KEY, "online"))


def moved(name: str, *, new: str, known: str) -> str:
    """SQL for the value of a live or detail column after a newer reading; `new` and `known` are the rows' names."""
    if name in KEPT:
        return f"coalesce({new}.{name}, {known}.{name})"
    if name in KEPT_LISTS:
        return f"coalesce(nullif({new}.{name}, '{EMPTY_LIST}'), {known}.{name})"
    return f"{new}.{name}"
