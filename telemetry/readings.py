"""A reading on its way in, and what became of a batch of them.

`Reading` is strict: it is built from a collector's record or from a polled snapshot, in the wire's names and units, with nothing in it that
breaks a bound of the contract. None means "not reported". Nothing here can be part of a cycle, so the garbage collector need not follow it
(`gc=False`): thousands of readings at once would set it off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

BoardRate = Annotated[float, Meta(ge=0, le=1e12)]
BoardTemperature = Annotated[float, Meta(ge=-50, le=150)]
ChipCount = Annotated[int, Meta(ge=0, le=100_000)]


class Board(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One hashboard: hash rate in GH/s, its hottest temperature in °C, chips that work and chips fitted."""

    id: int | Annotated[str, Meta(max_length=20)] | None = None
    hashrate: BoardRate | None = None
    temp: BoardTemperature | None = None
    chips_ok: ChipCount | None = None
    chips_total: ChipCount | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One configured pool."""

    url: str
    user: str | None = None
    status: str | None = None
    active: bool = False
    accepted: int | None = None
    rejected: int | None = None


class Reading(msgspec.Struct, kw_only=True, gc=False):
    """What one miner reported at one moment. `timestamp` is aware, in UTC."""

    miner_id: str
    timestamp: datetime
    online: bool = True
    ip_address: str | None = None
    mining_state: str | None = None
    overall_health: str | None = None
    hashrate_ghs: float | None = None
    hashrate_5s_ghs: float | None = None
    hashrate_expected_ghs: float | None = None
    temperature_avg: float | None = None
    temperature_min: float | None = None
    temperature_max: float | None = None
    temperature_chips: list[float] | None = None
    fan_speeds: list[int] | None = None
    frequency_avg: float | None = None
    accepted_shares: int | None = None
    rejected_shares: int | None = None
    hardware_errors: int | None = None
    uptime_seconds: int | None = None
    power_consumption: float | None = None
    efficiency: float | None = None
    pool_url: str | None = None
    worker_name: str | None = None
    pool_latency_ms: float | None = None
    latency_ms: float | None = None
    boards: list[Board] | None = None
    boards_total: int | None = None
    boards_healthy: int | None = None
    pools: list[Pool] | None = None
    error_codes: list[str] | None = None
    model: str | None = None
    firmware_version: str | None = None
    error_type: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class RecordError:
    """Why one record of a batch was not stored."""

    index: int
    field: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {"index": self.index, "field": self.field, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is logged of one collector upload, beside its readings."""

    key_id: int | None
    client_address: str | None
    size_bytes: int
    received: int
    device_id: str = ""
    zone_id: str = ""
    mode: str = ""
    sequence_start: int | None = None
    sequence_end: int | None = None
    sequence_epoch: str = ""
    errors: Sequence[RecordError] = ()


@dataclass(slots=True, kw_only=True)
class IngestReport:
    """What became of one batch. `inserted` counts miners seen for the first time, `updated` those seen before."""

    received: int = 0
    processed: int = 0
    inserted: int = 0
    updated: int = 0
    duplicates: int = 0
    online: int = 0
    offline: int = 0
    errors: list[RecordError] = field(default_factory=list)
    processing_ms: float = 0.0
    miner_keys: dict[str, int] = field(default_factory=dict)
    """Primary keys of the batch's miners by `miner_id`."""
