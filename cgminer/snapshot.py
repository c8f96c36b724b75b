"""What one miner said, in one shape for every maker.

Units are those of the wire and of the database: GH/s, °C, rpm, MHz, W, J/TH, seconds, milliseconds. `None` means that the miner did not
report the value; 0 means that it reported zero. Field names are those of the collector's wire contract.

A snapshot is not changed once it was made. The classes are not `frozen` all the same: that would double the time it takes to make one,
and a farm's round makes a hundred thousand of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class MiningState(StrEnum):
    """What the miner is doing, as far as its replies tell."""

    MINING = "mining"
    SLEEPING = "sleeping"
    OVERHEATED = "overheated"
    FAULT = "fault"
    UNKNOWN = "unknown"


class PoolStatus(StrEnum):
    ALIVE = "alive"
    DEAD = "dead"
    DISABLED = "disabled"
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Board:
    """One hashboard. `id` is the position the firmware gives it (many count from 0, some from 1)."""

    id: int
    hashrate_ghs: float | None = None
    temperature: float | None = None
    """Hottest board (PCB) reading, °C."""
    temperature_chip: float | None = None
    """Hottest chip on the board, °C."""
    temperature_chip_avg: float | None = None
    frequency: float | None = None
    chips_ok: int | None = None
    chips_total: int | None = None
    serial_number: str | None = None


@dataclass(slots=True, kw_only=True)
class Pool:
    """One configured pool. `active` marks the one in use; at most one of a snapshot's pools has it."""

    id: int
    url: str
    user: str | None = None
    status: PoolStatus = PoolStatus.UNKNOWN
    active: bool = False
    priority: int | None = None
    group: int | None = None
    """Firmware that mines to several groups at once (LuxOS, Braiins OS) numbers them."""
    accepted_shares: int | None = None
    rejected_shares: int | None = None
    stale_shares: int | None = None


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """One miner at one moment."""

    maker: str | None = None
    model: str | None = None
    firmware_version: str | None = None
    software: str | None = None
    """The mining program and its version, in its own words ("cgminer 4.11.1")."""
    compile_time: str | None = None
    """When the firmware was built, in its own words; Antminer firmware is told apart by it."""
    api_version: str | None = None
    serial_number: str | None = None
    mac_address: str | None = None
    hostname: str | None = None

    mining_state: MiningState = MiningState.UNKNOWN
    error_codes: tuple[str, ...] = ()
    """The miner's own error codes, in its own words ("329", "P:1")."""

    hashrate_ghs: float | None = None
    """Average since the miner's start, or the longest window it reports."""
    hashrate_5s_ghs: float | None = None
    """Shortest window it reports (5 s, 20 s, 30 s, 1 m by firmware)."""
    hashrate_expected_ghs: float | None = None
    temperature_avg: float | None = None
    """Mean of the boards' hottest readings, or of what there is."""
    temperature_min: float | None = None
    temperature_max: float | None = None
    temperature_boards: tuple[float, ...] = ()
    """Every board (PCB) sensor, °C."""
    temperature_chips: tuple[float, ...] = ()
    """Every chip sensor, °C; of more than 100 only the hottest of each board."""
    temperature_ambient: float | None = None
    """Air or coolant at the inlet, °C."""
    fan_speeds: tuple[int, ...] = ()
    """rpm, one entry a fan that reports; firmware that gives only a duty cycle fills `fan_duty_percent` instead."""
    fan_duty_percent: float | None = None
    frequency_avg: float | None = None
    power_consumption: float | None = None
    power_limit: float | None = None
    power_mode: str | None = None
    """What the firmware aims at, in its own word ("low", "normal", "high")."""
    efficiency: float | None = None
    """J/TH, computed from power and hash rate when both are known."""

    accepted_shares: int | None = None
    rejected_shares: int | None = None
    stale_shares: int | None = None
    hardware_errors: int | None = None
    uptime_seconds: int | None = None

    boards: tuple[Board, ...] = ()
    """Hashboards that are fitted, a board that answers with zero chips included; an empty slot is not."""
    boards_total: int | None = None
    boards_healthy: int | None = None
    pools: tuple[Pool, ...] = ()
    latency_ms: float | None = None
    """From connect to the last byte of the reply."""

    @property
    def pool_in_use(self) -> Pool | None:
        return next((pool for pool in self.pools if pool.active), None)

    def as_record(self) -> dict[str, Any]:
        """The snapshot as the measured fields of one upload record; what was not reported is left out."""
        pool = self.pool_in_use
        record: dict[str, Any] = {name: getattr(self, name) for name in _RECORD_FIELDS}
        record["mining_state"] = str(self.mining_state)
        record["error_codes"] = list(self.error_codes)
        record["temperature_chips"] = list(self.temperature_chips[:100])
        record["fan_speeds"] = list(self.fan_speeds[:20])
        record["pool_url"] = pool.url if pool else None
        record["worker_name"] = pool.user if pool else None
        record["boards"] = [_board_record(board) for board in self.boards[:10]]
        record["pools"] = [_pool_record(item) for item in self.pools]
        return {name: value for name, value in record.items() if value is not None and value != []}


_RECORD_FIELDS = (
    "model",
    "firmware_version",
    "hashrate_ghs",
    "hashrate_5s_ghs",
    "hashrate_expected_ghs",
    "temperature_avg",
    "temperature_min",
    "temperature_max",
    "frequency_avg",
    "power_consumption",
    "efficiency",
    "accepted_shares",
    "rejected_shares",
    "hardware_errors",
    "uptime_seconds",
    "boards_total",
    "boards_healthy",
    "latency_ms",
)


def _board_record(board: Board) -> dict[str, Any]:
    hottest = [value for value in (board.temperature_chip, board.temperature) if value is not None]
    return {
        "id": board.id,
        "hashrate": board.hashrate_ghs,
        "temp": max(hottest) if hottest else None,
        "chips_ok": board.chips_ok,
        "chips_total": board.chips_total,
    }


def _pool_record(pool: Pool) -> dict[str, Any]:
    return {
        "url": pool.url,
        "user": pool.user,
        "status": str(pool.status),
        "active": pool.active,
        "accepted": pool.accepted_shares,
        "rejected": pool.rejected_shares,
    }
