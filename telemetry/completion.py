"""What a reading says once unknown zeros are taken out of it and what follows from its own fields is filled in."""

from __future__ import annotations

from copy import copy

from telemetry.models import MinerTelemetryLive
from telemetry.readings import Board, Reading
from telemetry.storage import columns

LARGEST_COUNTER = 2**63 - 1
LARGEST_LATENCY_MS = 1e9
LARGEST_EFFICIENCY = 1e6
DEGRADED_BELOW = 0.8
"""A miner that hashes at less than this share of its expected rate is degraded."""

_LIMITS = (
    ("accepted_shares", LARGEST_COUNTER),
    ("rejected_shares", LARGEST_COUNTER),
    ("hardware_errors", LARGEST_COUNTER),
    ("uptime_seconds", LARGEST_COUNTER),
    ("pool_latency_ms", LARGEST_LATENCY_MS),
    ("latency_ms", LARGEST_LATENCY_MS),
    ("efficiency", LARGEST_EFFICIENCY),
)
_TEXTS = tuple(
    (field.attname, field.max_length)
    for field in MinerTelemetryLive._meta.local_concrete_fields
    if field.attname in Reading.__struct_fields__ and field.max_length
)
_NOT_MEASURED = {"miner_id", "timestamp", "online", "ip_address", "overall_health", "error_type", "error_message"}
_MEASURED = tuple(name for name in Reading.__struct_fields__ if name not in _NOT_MEASURED | columns.KEPT_FACTS)


def complete(reading: Reading) -> Reading:
    """A copy of `reading` as it is stored.

    A miner that was not reached measured nothing, so an offline reading keeps only who it is and why it failed. Of an online one an
    empty string and a power of 0 W beside a hash rate are unknown; boards, state, health and efficiency are derived when absent.
    """
    reading = copy(reading)
    _tidy_texts(reading)
    if not reading.online:
        for name in _MEASURED:
            setattr(reading, name, None)
        reading.overall_health = "offline"
        return reading
    _drop_impossible(reading)
    rate = reading.hashrate_5s_ghs if reading.hashrate_5s_ghs is not None else reading.hashrate_ghs
    hashing = bool(rate or reading.hashrate_ghs)
    if hashing and not reading.power_consumption:
        reading.power_consumption = None
    if not reading.efficiency:
        reading.efficiency = _efficiency(reading)
    if reading.boards:
        if reading.boards_total is None:
            reading.boards_total = len(reading.boards)
        if reading.boards_healthy is None:
            reading.boards_healthy = sum(map(_is_healthy, reading.boards))
    if reading.mining_state is None and rate is not None:
        reading.mining_state = "mining" if rate else "fault" if reading.boards_healthy == 0 else "unknown"
    if reading.overall_health is None:
        reading.overall_health = _health(reading, rate)
    return reading


def _tidy_texts(reading: Reading) -> None:
    """PostgreSQL stores no NUL and no lone surrogate, and one of them would cost the whole batch; neither is printable."""
    for name, limit in _TEXTS:
        text = getattr(reading, name)
        if text is None or (text and len(text) <= limit and text.isprintable()):
            continue
        storable = text.replace("\0", "").encode("utf-8", "replace").decode()
        setattr(reading, name, storable[:limit] or None)


def _drop_impossible(reading: Reading) -> None:
    """Forget numbers no column can hold: counters of 64 bits and more, latencies of weeks."""
    for name, limit in _LIMITS:
        value = getattr(reading, name)
        if value is not None and not 0 <= value <= limit:
            setattr(reading, name, None)


def _efficiency(reading: Reading) -> float | None:
    """J/TH: watts by terahashes a second."""
    if not reading.power_consumption or not reading.hashrate_ghs:
        return None
    value = reading.power_consumption / reading.hashrate_ghs * 1000
    return value if value < LARGEST_EFFICIENCY else None


def _is_healthy(board: Board) -> bool:
    """It hashes, and no chip is missing where chips are counted (0 working chips beside a hash rate means "not counted")."""
    if board.hashrate == 0:
        return False
    if board.chips_ok and board.chips_total:
        return board.chips_ok >= board.chips_total
    return bool(board.hashrate or board.chips_ok)


def _health(reading: Reading, rate: float | None) -> str:
    """`rate` is the hash rate over the shortest window that was reported."""
    if reading.mining_state in ("overheated", "fault"):
        return "critical"
    if reading.mining_state == "sleeping":
        return "healthy"
    if rate is None:
        return "unknown"
    if rate == 0 or reading.boards_healthy == 0:
        return "critical"
    if reading.boards_total is not None and reading.boards_healthy is not None and reading.boards_healthy < reading.boards_total:
        return "degraded"
    expected = reading.hashrate_expected_ghs
    average = reading.hashrate_ghs if reading.hashrate_ghs is not None else rate
    return "degraded" if expected and average < expected * DEGRADED_BELOW else "healthy"
