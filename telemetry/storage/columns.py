"""Which columns a batch fills, read off the models: a new measurement is one line in `Reading` and one in `Measurements`.

A batch is kept by column, which lets both storages leave most of the work to C.
"""

from __future__ import annotations

from django.db import models

from telemetry.models import Measurements, MinerTelemetryDetail, MinerTelemetryHistory, MinerTelemetryLive

KEPT_FACTS = frozenset({"model", "firmware_version", "pool_url", "worker_name"})
KEPT = KEPT_FACTS | {"hashrate_expected_ghs", "boards_total", "last_online_at"}
"""Facts that change slowly: the live row keeps the known one when a reading does not report it."""

KEPT_LISTS = frozenset({"pools"})
"""The same for lists, where an empty one is "not reported"."""

EMPTY_LIST = "[]"
EMPTY_LINE = b"[]\n"

PER_BATCH = ("site_id", "received_at", "source")
"""The same for every live row of a batch."""

FLAGS = ("newest", "listed")
"""`newest` marks the miner's newest reading of the batch, `listed` its newest one with lists (an offline reading has none)."""


def _names(model: type[models.Model], *, beside: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.local_concrete_fields if field.attname not in beside)


KEY = ("miner_id", "timestamp")
MEASUREMENTS = tuple(field.attname for field in Measurements._meta.local_fields)
FACTS = _names(MinerTelemetryLive, beside=(*KEY, *MEASUREMENTS, *PER_BATCH, "last_online_at"))
LISTS = _names(MinerTelemetryDetail, beside=KEY)
HISTORY_ALONE = _names(MinerTelemetryHistory, beside=(*KEY, *MEASUREMENTS))
"""What is made of the lists, of which history keeps nothing else."""

REPORTED = MEASUREMENTS + FACTS + LISTS
HISTORY = KEY + MEASUREMENTS + HISTORY_ALONE
LIVE = (*KEY, *MEASUREMENTS, "last_online_at", *FACTS)
DETAIL = KEY + LISTS


def moved(name: str, *, new: str, known: str) -> str:
    """SQL for what a live or detail column holds after a newer reading; `new` and `known` are SQL for its two values."""
    if name in KEPT:
        return f"coalesce({new}, {known})"
    if name in KEPT_LISTS:
        return f"coalesce(nullif({new}, '{EMPTY_LIST}'), {known})"
    return new
