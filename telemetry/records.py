"""One record of an upload: the typed model of what collectors send, and what turns it into a reading.

`Record` decodes the wire straight into a `Reading`. What no type can say (aliases, naive times, counts that pose as readings) is put right
in place by `telemetry.settling`. Empty text and everything derived are `telemetry.completion`'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta

from telemetry.readings import Board, Reading

UNSTAMPED = datetime.max
"""Stands for "no timestamp in the record"."""
LARGEST_COUNTER = 2**63 - 1
COLDEST, HOTTEST = -50.0, 150.0
COUNTS_BELOW = 10
"""A fan speed or a chip temperature under this is taken for the number of fans or chips where it can't be a reading."""
FASTEST_FAN_RPM = 100_000

Rate = Annotated[float, Meta(ge=0, le=1e12)]
Celsius = Annotated[float, Meta(ge=COLDEST, le=HOTTEST)]
Counter = Annotated[int, Meta(ge=0, le=LARGEST_COUNTER)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e9)]
BoardCount = Annotated[int, Meta(ge=0, le=1_000)]


class Record(Reading, kw_only=True, forbid_unknown_fields=True):
    """A reading as it stands on the wire, with the contract's bounds. After `settle` it is a `Reading` like any other."""

    miner_id: Annotated[str, Meta(max_length=50)] = ""
    timestamp: datetime = UNSTAMPED
    ip_address: Annotated[str, Meta(max_length=45)] | None = None
    hashrate_ghs: Rate | None = None
    hashrate_5s_ghs: Rate | None = None
    hashrate_expected_ghs: Rate | None = None
    temperature_avg: Celsius | None = None
    temperature_min: Celsius | None = None
    temperature_max: Celsius | None = None
    temperature_chips: Annotated[list[float], Meta(max_length=100)] | None = None
    fan_speeds: Annotated[list[int], Meta(max_length=20)] | None = None
    frequency_avg: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    accepted_shares: Counter | None = None
    rejected_shares: Counter | None = None
    hardware_errors: Counter | None = None
    uptime_seconds: Counter | None = None
    power_consumption: Annotated[float, Meta(ge=0, le=100_000)] | None = None
    efficiency: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    pool_url: Annotated[str, Meta(max_length=255)] | None = None
    worker_name: Annotated[str, Meta(max_length=100)] | None = None
    pool_latency_ms: Milliseconds | None = None
    latency_ms: Milliseconds | None = None
    boards: Annotated[list[Board], Meta(max_length=10)] | None = None
    boards_total: BoardCount | None = None
    boards_healthy: BoardCount | None = None
    model: Annotated[str, Meta(max_length=100)] | None = None
    firmware_version: Annotated[str, Meta(max_length=50)] | None = None
    error_message: Annotated[str, Meta(max_length=500)] | None = None

    worker_id: Annotated[str, Meta(max_length=50)] | None = None
    """Alias of `miner_id`."""
    hashrate_rt: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    """Hash rate in TH/s."""
    temperature: Celsius | None = None
    """The one temperature of agents that know no average and no maximum."""
    miner_key: str | None = None
    source_seq: int | None = None

    doubtful: ClassVar[frozenset[str]] = frozenset({"fan_speeds", "temperature_chips"})
    """Lists in which counts may stand among the readings."""


class CleanRecord(Record, kw_only=True, forbid_unknown_fields=True):
    """A record whose lists need no second look, which the decoder finds out in passing."""

    doubtful: ClassVar[frozenset[str]] = frozenset()
    temperature_chips: Annotated[list[Annotated[float, Meta(ge=COUNTS_BELOW, le=HOTTEST)]], Meta(max_length=100)] | None = None
    fan_speeds: Annotated[list[Annotated[int, Meta(ge=COUNTS_BELOW, le=FASTEST_FAN_RPM)]], Meta(max_length=20)] | None = None


class RecordRefused(Exception):
    """One record breaks a bound; the others of its batch do not suffer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason
