"""What every fork of CGMiner says alike: totals, counters, devices, and the figures that follow from others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from cgminer import plausible
from cgminer.parsers import rates
from cgminer.parsers.pools import read_pools
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, fill, pick, summary_row, version_row
from cgminer.snapshot import Board, MiningState, Pool, Snapshot
from cgminer.wire import status_of

HEALTHY_CHIP_SHARE: Final = 0.95
MAX_CHIP_READINGS: Final = 100
OVERHEATED_C: Final = 85.0
"""Where makers' own protection stops hashing: 80-90 °C on the board, 95 °C and more in the chips."""
STARTING_S: Final = 120
MAX_J_PER_TH: Final = 1000.0
_RATES: Final = ("hashrate_ghs", "hashrate_5s_ghs", "hashrate_expected_ghs")
_IMPLAUSIBLE_TO_SHORT: Final = 100
_SOFTWARE_KEYS: Final = re.compile(r"^(?:\w*miner\+?|bosminer\+?|boser|gcminer)$", re.IGNORECASE)


def read_basics(replies: Replies) -> Fields:
    summary = summary_row(replies)
    fields: Fields = {
        "hashrate_ghs": rates.average_ghs(summary),
        "hashrate_5s_ghs": rates.short_ghs(summary),
        "uptime_seconds": plausible.uptime(summary.get("Elapsed", summary.get("elapsed"))),
        "hardware_errors": plausible.counter(summary.get("Hardware Errors", summary.get("hw_all"))),
        "pools": read_pools(replies),
        "boards": (),
    }
    _read_software(replies, summary, fields)
    _read_shares(summary, device_rows(replies), fields)
    return fields


def _read_software(replies: Replies, summary: Row, fields: Fields) -> None:
    version = version_row(replies)
    fields["software"] = _described(replies) or _named(version)
    fields["api_version"] = plausible.text(str(version.get("API", "")), 20)
    fields["compile_time"] = plausible.text(version.get("CompileTime"))
    fields["mac_address"] = plausible.mac_address(pick(version, ("MAC", "mac"))) or plausible.mac_address(summary.get("MAC"))


def _described(replies: Replies) -> str | None:
    for reply in replies.values():
        if description := plausible.text(status_of(reply).get("Description")):
            return description
    return None


def _named(version: Row) -> str | None:
    return plausible.text(next((f"{key} {value}" for key, value in version.items() if _SOFTWARE_KEYS.match(key) and key != "Miner"), None))


def _read_shares(summary: Row, devices: Sequence[Row], fields: Fields) -> None:
    """The machine's own counters; where it has none, or an impossible one, the sum of its pools or devices."""
    pools: tuple[Pool, ...] = fields["pools"]
    for name, key in (("accepted_shares", "Accepted"), ("rejected_shares", "Rejected"), ("stale_shares", "Stale")):
        value = plausible.counter(summary.get(key))
        if value is None:
            value = total(getattr(pool, name) for pool in pools)
        if value is None:
            value = total(plausible.counter(row.get(key)) for row in devices)
        fields[name] = value


def total(values: Any) -> Any:
    """The sum of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def device_rates(devices: Sequence[Row]) -> tuple[list[float | None], list[float | None]]:
    """Average and short-window rates by device. An average a hundred times the device's own short window is memory garbage."""
    short = [rates.short_ghs(row) for row in devices]
    average: list[float | None] = []
    for row, now in zip(devices, short, strict=True):
        value = rates.average_ghs(row)
        garbage = value is not None and now and value > now * _IMPLAUSIBLE_TO_SHORT
        average.append(now if garbage else value)
    return average, short


def rates_from_devices(fields: Fields, devices: Sequence[Row]) -> None:
    """Fills totals from devices when the summary has none, or says 0 while devices hash."""
    average, short = device_rates(devices)
    idle = not fields["hashrate_ghs"] and not fields["hashrate_5s_ghs"]
    for name, values in (("hashrate_ghs", average), ("hashrate_5s_ghs", short)):
        added = total(values)
        if added is not None and (fields[name] is None or (idle and added)):
            fields[name] = round(added, 6)


def device_boards(devices: Sequence[Row]) -> tuple[Board, ...]:
    average, _ = device_rates(devices)
    return tuple(_device_board(row, index, average[index]) for index, row in enumerate(devices))


def _device_board(row: Row, index: int, hashrate: float | None) -> Board:
    position = plausible.small_count(pick(row, ("Slot", "ID", "ASC", "PGA", "GPU")), 1000)
    return Board(
        id=index if position is None else position,
        hashrate_ghs=hashrate,
        temperature=plausible.temperature(pick(row, ("Temperature", "temperature", "Temp"))),
        temperature_chip=plausible.temperature(row.get("Chip Temp Max")),
        temperature_chip_avg=plausible.temperature(row.get("Chip Temp Avg")),
        frequency=plausible.frequency(pick(row, ("Frequency", "Chip Frequency"))),
        chips_ok=plausible.small_count(row.get("Effective Chips")),
        serial_number=plausible.text(pick(row, ("PCB SN", "SerialNumber", "Serial"))),
    )


class _OfBoards:
    """What a machine's boards add up to, in the order of the boards; gathered in one go, as a farm's round does it for each miner."""

    __slots__ = ("chip_averages", "frequencies", "healthy", "hottest", "hottest_chips", "judged")

    def __init__(self, boards: tuple[Board, ...]) -> None:
        self.hottest: list[float] = []
        self.hottest_chips: list[float] = []
        self.chip_averages: list[float] = []
        self.frequencies: list[float] = []
        self.judged = self.healthy = 0
        for board in boards:
            if board.temperature is not None:
                self.hottest.append(board.temperature)
            if board.temperature_chip is not None:
                self.hottest_chips.append(board.temperature_chip)
            if board.temperature_chip_avg is not None:
                self.chip_averages.append(board.temperature_chip_avg)
            if board.frequency is not None:
                self.frequencies.append(board.frequency)
            if (healthy := is_healthy(board)) is not None:
                self.judged += 1
                self.healthy += healthy


def finish(fields: Fields, *, latency_ms: float | None) -> Snapshot:
    """The figures that follow from others, then the snapshot."""
    boards: tuple[Board, ...] = fields["boards"]
    for name in _RATES:
        if (rate := fields.get(name)) is not None and not 0 <= rate <= plausible.MAX_GHS:
            fields[name] = None
    if (power := fields.get("power_consumption")) is not None:
        fields["power_consumption"] = plausible.watts(power)
    of_boards = _OfBoards(boards)
    _finish_temperatures(fields, of_boards)
    if fields.get("frequency_avg") is None:
        fields["frequency_avg"] = mean(of_boards.frequencies)
    if fields.get("boards_total") is None:
        fields["boards_total"] = len(boards) or None
    if fields.get("boards_healthy") is None and of_boards.judged:
        fields["boards_healthy"] = of_boards.healthy
    _finish_state(fields)
    _finish_efficiency(fields)
    return Snapshot(**fields, latency_ms=latency_ms)


def _finish_temperatures(fields: Fields, of: _OfBoards) -> None:
    chips: tuple[float, ...] | None = fields.get("temperature_chips")
    if chips is None or len(chips) > MAX_CHIP_READINGS:
        chips = fields["temperature_chips"] = tuple(of.hottest_chips[:MAX_CHIP_READINGS])
    sensors: tuple[float, ...] | None = fields.get("temperature_boards")
    if sensors is None:
        sensors = fields["temperature_boards"] = tuple(of.hottest)
    if fields.get("temperature_avg") is None:
        fields["temperature_avg"] = mean(of.hottest) or mean(sensors) or mean(of.chip_averages) or mean(chips)
    readings = (*chips, *sensors, *of.hottest, *of.chip_averages)
    if readings:
        if fields.get("temperature_min") is None:
            fields["temperature_min"] = min(readings)
        if fields.get("temperature_max") is None:
            fields["temperature_max"] = max(readings)


def is_healthy(board: Board) -> bool | None:
    """Whether it hashes with at least 95 % of its chips; None when it says neither."""
    if board.hashrate_ghs == 0 or board.chips_ok == 0:
        return False
    if board.chips_ok is not None and board.chips_total:
        return board.chips_ok >= board.chips_total * HEALTHY_CHIP_SHARE
    return True if board.hashrate_ghs else None


def _finish_state(fields: Fields) -> None:
    """Only a rate of zero raises the question; a firmware that says what it does has answered it before."""
    if fields.get("mining_state"):
        if fields["mining_state"] is MiningState.SLEEPING:
            fill(fields, hashrate_ghs=0.0, hashrate_5s_ghs=0.0)
        return
    now = fields.get("hashrate_5s_ghs")
    rate = now if now is not None else fields.get("hashrate_ghs")
    if rate is None:
        return
    if rate > 0 or _hashed_lately(fields):
        fields["mining_state"] = MiningState.MINING
    elif (fields.get("temperature_max") or 0) >= OVERHEATED_C:
        fields["mining_state"] = MiningState.OVERHEATED
    elif (fields.get("uptime_seconds") or 0) > STARTING_S:
        fields["mining_state"] = MiningState.FAULT


def _hashed_lately(fields: Fields) -> bool:
    """A short window of 0 beside an average: some firmware never fills the short one, so a cool machine is given the doubt."""
    return bool(fields.get("hashrate_ghs")) and (fields.get("temperature_max") or 0) < OVERHEATED_C


def _finish_efficiency(fields: Fields) -> None:
    power, rate = fields.get("power_consumption"), fields.get("hashrate_ghs")
    if power and rate:
        joules = power / rate * 1000
        if joules <= MAX_J_PER_TH:
            fill(fields, efficiency=round(joules, 2))
