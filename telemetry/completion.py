"""What readings say once unknown zeros are taken out of them and what follows from their own fields is filled in.

By column and not by reading: most rules concern few readings of a batch or none, and whether one does is asked of the whole column at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import truediv
from typing import Any

from telemetry.models import MinerTelemetryLive
from telemetry.readings import Board, Reading
from telemetry.storage import columns

Reported = dict[str, Sequence[Any]]
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


def complete(found: Reported) -> None:
    """Turn what readings report, by column, into what is stored.

    A miner that was not reached measured nothing, so an offline reading keeps only who it is and why it failed. Of an online one an
    empty string and a power of 0 W beside a hash rate are unknown; temperatures, boards, state, health and efficiency are derived when
    absent.
    """
    _tidy_texts(found)
    _silence_offline(found)
    _drop_impossible(found)
    average = found["hashrate_ghs"]
    shortest = found["hashrate_5s_ghs"]
    if None in shortest:
        shortest = [last if short is None else short for short, last in zip(shortest, average, strict=True)]
    _forget_zero_power(found, shortest)
    if 0.0 in found["efficiency"]:
        found["efficiency"] = [value or None for value in found["efficiency"]]
    _fill(found, "efficiency", _efficiency, found["power_consumption"], average)
    _fill(found, "temperature_max", _hottest, found["temperature_chips"], found["boards"])
    _fill(found, "temperature_avg", _mean_temperature, found["temperature_chips"], found["boards"])
    _fill(found, "boards_total", _count, found["boards"])
    _fill(found, "boards_healthy", _count_healthy, found["boards"])
    boards = found["boards_total"], found["boards_healthy"]
    _fill_states(found, shortest)
    _fill(found, "overall_health", _health, found["mining_state"], shortest, average, found["hashrate_expected_ghs"], *boards)
    found["fan_speed_avg"] = _averages(found["fan_speeds"])


def _averages(lists: Sequence[Sequence[int] | None]) -> list[float | None]:
    if all(lists):
        return list(map(truediv, map(sum, lists), map(len, lists)))  # type: ignore[arg-type]  # none of them is None or empty
    return [sum(values) / len(values) if values else None for values in lists]


def _fill(found: Reported, name: str, derive: Callable[..., Any], *reported: Sequence[Any]) -> None:
    """Where `name` was not reported, what `derive` makes of the same reading's `reported` values."""
    known = found[name]
    if None in known:
        facts = zip(*reported, strict=True)
        found[name] = [derive(*each) if value is None else value for value, each in zip(known, facts, strict=True)]


def _fill_states(found: Reported, shortest: Sequence[float | None]) -> None:
    known = found["mining_state"]
    if all(shortest) and not any(known):  # most agents report none, and most miners mine
        found["mining_state"] = ["mining"] * len(known)
    else:
        _fill(found, "mining_state", _state, shortest, found["boards_healthy"])


def _tidy_texts(found: Reported) -> None:
    """PostgreSQL stores no NUL and no lone surrogate, and one of them would cost the whole batch; neither is printable."""
    for name, limit in _TEXTS:
        texts = set(found[name]) - {None}
        if texts and not _are_tidy(texts, limit):
            tidied = {text: _tidied(text, limit) for text in texts}
            found[name] = [tidied.get(text) for text in found[name]]


def _are_tidy(texts: set[str], limit: int) -> bool:
    return "" not in texts and len(max(texts, key=len)) <= limit and "".join(texts).isprintable()


def _tidied(text: str, limit: int) -> str | None:
    storable = text.replace("\0", "").encode("utf-8", "replace").decode()
    return storable[:limit] or None


def _silence_offline(found: Reported) -> None:
    online = found["online"]
    if all(online):
        return
    for name in _MEASURED:
        found[name] = [value if is_online else None for value, is_online in zip(found[name], online, strict=True)]
    health = found["overall_health"]
    found["overall_health"] = [value if is_online else "offline" for value, is_online in zip(health, online, strict=True)]


def _drop_impossible(found: Reported) -> None:
    """Forget numbers no column can hold: counters of 64 bits and more, latencies of weeks."""
    for name, limit in _LIMITS:
        values = list(filter(None, found[name]))
        if values and not (min(values) >= 0 and max(values) <= limit):
            found[name] = [value if value is not None and 0 <= value <= limit else None for value in found[name]]


def _forget_zero_power(found: Reported, shortest: Sequence[float | None]) -> None:
    power = found["power_consumption"]
    if 0.0 in power:
        rates = zip(shortest, found["hashrate_ghs"], strict=True)
        found["power_consumption"] = [
            None if watts == 0 and (short or average) else watts for watts, (short, average) in zip(power, rates, strict=True)
        ]


def _efficiency(power: float | None, rate: float | None) -> float | None:
    """J/TH: watts by terahashes a second."""
    if not power or not rate:
        return None
    value = power / rate * 1000
    return value if value < LARGEST_EFFICIENCY else None


def _count(boards: Sequence[Board] | None) -> int | None:
    return len(boards) if boards else None


def _hottest(chips: Sequence[float] | None, boards: Sequence[Board] | None) -> float | None:
    return max([*(chips or ()), *_temperatures(boards)], default=None)


def _mean_temperature(chips: Sequence[float] | None, boards: Sequence[Board] | None) -> float | None:
    """Of the boards, as the parsers of `cgminer` have it; of the chips where boards have no sensor."""
    measured = _temperatures(boards) or chips
    return sum(measured) / len(measured) if measured else None


def _temperatures(boards: Sequence[Board] | None) -> list[float]:
    return [board.temp for board in boards or () if board.temp is not None]


def _count_healthy(boards: Sequence[Board] | None) -> int | None:
    return sum(map(_is_healthy, boards)) if boards else None


def _is_healthy(board: Board) -> bool:
    """It hashes, and no chip is missing where chips are counted (0 working chips beside a hash rate means "not counted")."""
    if board.hashrate == 0:
        return False
    if board.chips_ok and board.chips_total:
        return board.chips_ok >= board.chips_total
    return bool(board.hashrate or board.chips_ok)


def _state(rate: float | None, boards_healthy: int | None) -> str | None:
    """`rate` is the hash rate over the shortest window that was reported."""
    if rate is None:
        return None
    return "mining" if rate else "fault" if boards_healthy == 0 else "unknown"


def _health(
    state: str | None,
    rate: float | None,
    average: float | None,
    expected: float | None,
    boards_total: int | None,
    boards_healthy: int | None,
) -> str:
    """`rate` is the hash rate over the shortest window that was reported."""
    if state in ("overheated", "fault"):
        return "critical"
    if state == "sleeping":
        return "healthy"
    if rate is None:
        return "unknown"
    if rate == 0 or boards_healthy == 0:
        return "critical"
    if boards_total is not None and boards_healthy is not None and boards_healthy < boards_total:
        return "degraded"
    usual = average if average is not None else rate
    return "degraded" if expected and usual < expected * DEGRADED_BELOW else "healthy"
