"""Any CGMiner, BFGMiner or sgminer (HonorKnight, Minerva, StrongU, Innosilicon, Baikal, BW, iBeLink, Dayun, FutureBit…).

Boards are the devices; what `stats` says of each chain is added to them. No unit is corrected: what such a machine mines is not known.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from cgminer import plausible
from cgminer.parsers import rates, spondoolies
from cgminer.parsers.basics import device_boards, mean, rates_from_devices, read_basics
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, fill, keep, pick, stats_rows, summary_row, version_row
from cgminer.snapshot import Board

_FAN_PATTERNS: Final = ("Fan{}", "fan{}", "Fan{} rpm", "Fan{} RPM", "Fan{} Speed", "Fan {}", "Fan Speed {}", "fan_speed_{}", "fan_speed{}")
_FANS: Final = tuple(pattern.format(which) for which in (*range(9), "In", "Out", "in", "out") for pattern in _FAN_PATTERNS)
_CHANNELS: Final = tuple((number, f"CH{number}") for number in range(13))
_SUMMARY_SENSOR: Final = re.compile(r"temp(?:er|erature)?[ _]?\d{1,2}", re.IGNORECASE)
_MAX_FANS: Final = 20
_MAX_SENSORS: Final = 32


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    devices, chains, summary = device_rows(replies), stats_rows(replies), summary_row(replies)
    rates_from_devices(fields, devices)
    if fields["hashrate_ghs"] is None and fields["hashrate_5s_ghs"] is None:
        rates_from_devices(fields, chains)
    boards = _with_chains(device_boards(devices), chains)
    keep(fields, boards=boards, fan_speeds=_fans((summary, *chains, *devices)))
    duties = [duty for row in chains if (duty := plausible.percent(pick(row, ("Fan duty", "Fan Duty")))) is not None]
    keep(fields, fan_duty_percent=mean(duties))
    core = tuple(found for row in chains if (found := plausible.temperature(row.get("Temperature Core"))) is not None)
    keep(fields, temperature_chips=core)
    if not any(board.temperature for board in boards):
        keep(fields, temperature_boards=_summary_sensors(summary))
    spondoolies.read(chains, fields)
    fill(
        fields,
        uptime_seconds=_longest(devices, "Device Elapsed") or _longest(chains, "Elapsed"),
        hardware_errors=_added(devices, "Hardware Errors"),
        mac_address=plausible.mac_address(pick(summary, ("macaddress", "Netid", "mac"))),
        model=plausible.text(pick(version_row(replies), ("Type", "PROD", "Model", "MODEL"))),
        power_consumption=plausible.watts(pick(summary, ("Power", "Wattage"))),
    )
    return fields


def _longest(found: list[Row], name: str) -> int | None:
    return max((value for row in found if (value := plausible.uptime(row.get(name))) is not None), default=None)


def _added(found: list[Row], name: str) -> int | None:
    values = [value for row in found if (value := plausible.counter(row.get(name))) is not None]
    return sum(values) if values else None


def _with_chains(boards: tuple[Board, ...], chains: list[Row]) -> tuple[Board, ...]:
    """A chain's own sensors are closer to the board than the device's figure; rates stay the device's."""
    described = [board for index, row in enumerate(chains) for board in _chain_boards(row, index)]
    if not boards or len(boards) != len(described):
        return boards or tuple(described)
    return tuple(_merged(board, chain) for board, chain in zip(boards, described, strict=True))


def _merged(board: Board, chain: Board) -> Board:
    return replace(
        board,
        hashrate_ghs=chain.hashrate_ghs if board.hashrate_ghs is None else board.hashrate_ghs,
        temperature=chain.temperature or board.temperature,
        temperature_chip=chain.temperature_chip or board.temperature_chip,
        frequency=board.frequency or chain.frequency,
        chips_ok=chain.chips_ok if board.chips_ok is None else board.chips_ok,
        chips_total=chain.chips_total if board.chips_total is None else board.chips_total,
    )


def _chain_boards(row: Row, index: int) -> list[Board]:
    if channels := [(number, row[name]) for number, name in _CHANNELS if type(row.get(name)) is dict]:
        boards = [_chain_board(value, number) for number, value in channels]
        return [board for board in boards if board is not None and (board.temperature or board.hashrate_ghs)]
    board = _chain_board(row, index)
    return [] if board is None else [board]


def _chain_board(row: Row, index: int) -> Board | None:
    sensor = plausible.temperature(pick(row, ("Temp Avg", "Temp", "temp_1", "temp_now_max", "Temperature", "temp")))
    chips = plausible.small_count(pick(row, ("Num chips", "Chip Count", "chip_num", "Chips")))
    if sensor is None and chips is None:
        return None
    position = plausible.small_count(pick(row, ("Chain ID", "Chain num", "slot")), 1000)
    return Board(
        id=index if position is None else position,
        hashrate_ghs=rates.average_ghs(row),
        temperature=sensor,
        temperature_chip=plausible.temperature(pick(row, ("Temp max", "Temp Max"))),
        frequency=plausible.frequency(pick(row, ("Device Freq", "freqs_avg", "PLL", "Frequency", "Freq"))),
        chips_ok=plausible.small_count(row.get("Num active chips")),
        chips_total=chips,
    )


def _summary_sensors(summary: Row) -> tuple[float, ...]:
    named = [value for name, value in summary.items() if name[:1] in "Tt" and _SUMMARY_SENSOR.fullmatch(name)][:_MAX_SENSORS]
    return tuple([found for value in named if (found := plausible.temperature(value)) is not None])


def _fans(found: tuple[Row, ...]) -> tuple[int, ...]:
    """Chains repeat the machine's fans under the same names, so each name counts once."""
    speeds: dict[str, int] = {}
    for row in found:
        for name in _FANS:
            if name in row and name not in speeds and (speed := plausible.rpm(row[name])) is not None:
                speeds[name] = speed
    return tuple(speeds.values())[:_MAX_FANS]
