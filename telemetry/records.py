"""One record of an upload: the typed model of what collectors send, and what turns it into a reading.

`Record` decodes the wire straight into a `Reading`. What no type can say (aliases, naive times, counts that pose as readings) is put right
in place by `settle`. Empty text and everything derived are `telemetry.completion`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from telemetry.readings import Board, Reading

UNSTAMPED = datetime.max
"""Stands for "no timestamp in the record"."""
EARLIEST_YEAR = 2009
"""The first Bitcoin block: nothing was mined before it, so an older time is a clock that was never set."""
LARGEST_COUNTER = 2**63 - 1
COUNTS_BELOW = 10
"""A fan speed or a chip temperature under this is taken for the number of fans or chips where it can't be a reading."""
FASTEST_FAN_RPM = 100_000
COLDEST, HOTTEST = -50.0, 150.0
WARM = 20.0
"""From this chip temperature on, a lone value under 10 in the same list is the number of chips, not a temperature."""

HEALTH = frozenset({"healthy", "degraded", "critical", "offline", "unknown"})
MINING_STATES = frozenset({"mining", "sleeping", "overheated", "fault", "unknown"})
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

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


class RecordRefused(Exception):
    """One record breaks a bound; the others of its batch do not suffer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


def settle(record: Record, *, sent_at: datetime) -> None:
    """Make `record` the reading it means; `sent_at` (aware) is the time of a record that has none. Raises RecordRefused."""
    _settle_identity(record)
    _settle_time(record, sent_at)
    _settle_aliases(record)
    _forget_unknown_zeros(record)
    if record.fan_speeds:
        _settle_fans(record, record.fan_speeds)
    if record.temperature_chips:
        _settle_chips(record, record.temperature_chips)


def _settle_identity(record: Record) -> None:
    miner_id = record.miner_id or record.worker_id
    if not miner_id or not (miner_id := miner_id.strip()):
        raise RecordRefused("miner_id", "is missing")
    if not miner_id.isprintable() and CONTROL_CHARACTERS.search(miner_id):
        raise RecordRefused("miner_id", "contains control characters")
    record.miner_id = miner_id


def _settle_time(record: Record, sent_at: datetime) -> None:
    moment = record.timestamp
    if moment is UNSTAMPED:
        record.timestamp = sent_at
        return
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise RecordRefused("timestamp", "is out of range") from None
    if moment.year < EARLIEST_YEAR:
        raise RecordRefused("timestamp", f"is before {EARLIEST_YEAR}")
    record.timestamp = moment


def _settle_aliases(record: Record) -> None:
    if record.hashrate_rt is not None and record.hashrate_ghs is None:
        record.hashrate_ghs = record.hashrate_rt * 1000
    if record.temperature is not None:
        if record.temperature_max is None:
            record.temperature_max = record.temperature
        if record.temperature_avg is None:
            record.temperature_avg = record.temperature
    if record.overall_health is not None and record.overall_health not in HEALTH:
        record.overall_health = None
    if record.mining_state is not None and record.mining_state not in MINING_STATES:
        record.mining_state = None


def _forget_unknown_zeros(record: Record) -> None:
    """Zeros that only ever mean "not known to this agent": over TCP agents send no other power and efficiency, asleep or not."""
    if not record.frequency_avg:
        record.frequency_avg = None
    if not record.power_consumption:
        record.power_consumption = None
    if not record.efficiency:
        record.efficiency = None
    if record.temperature_max == 0 and not record.temperature_avg and not record.temperature_min:
        record.temperature_max = record.temperature_avg = record.temperature_min = None
    if record.uptime_seconds == 0 and (record.accepted_shares or record.hashrate_ghs):
        record.uptime_seconds = None


def _settle_fans(record: Record, fans: list[int]) -> None:
    """Drop the number of fans that stands among their speeds (no fan turns at 1 to 9 rpm) and what no fan can turn at."""
    if min(fans) < COUNTS_BELOW or max(fans) > FASTEST_FAN_RPM:
        record.fan_speeds = [rpm for rpm in fans if rpm == 0 or COUNTS_BELOW <= rpm <= FASTEST_FAN_RPM]


def _settle_chips(record: Record, reported: list[float]) -> None:
    """Drop the number of chips that stands among their temperatures, and correct the figures the agent computed with it."""
    if min(reported) >= COUNTS_BELOW and max(reported) <= HOTTEST:
        return
    chips = _chip_temperatures(reported)
    if len(chips) == len(reported):
        return
    record.temperature_chips = chips
    if record.temperature_avg is not None and abs(record.temperature_avg - sum(reported) / len(reported)) < 0.01:
        record.temperature_avg = sum(chips) / len(chips) if chips else None
    if record.temperature_max == max(reported):
        record.temperature_max = max(chips, default=None)
    if record.temperature_min == min(reported):
        record.temperature_min = min(chips, default=None)


def _chip_temperatures(reported: Sequence[float]) -> list[float]:
    """A reading of 0 to 9 beside warm chips, or alone, is a count or an absent sensor; cold chips among cold ones are real."""
    possible = [chip for chip in reported if COLDEST <= chip <= HOTTEST]
    if not possible or (max(possible) < WARM and len(possible) > 1 and any(possible)):
        return possible
    return [chip for chip in possible if not 0 <= chip < COUNTS_BELOW]
