"""Auradine (FluxOS, gcminer): boards count from 1; fans, power, chip temperatures and clocks are replies of their own."""

from __future__ import annotations

from dataclasses import replace

from cgminer import plausible
from cgminer.parsers.basics import device_boards, mean, rates_from_devices, read_basics, total
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, first, keep, pick, rows, summary_row, version_row
from cgminer.snapshot import Board, MiningState


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    devices, summary, report = device_rows(replies), summary_row(replies), first(replies.get("ipreport"), "IPReport")
    rates_from_devices(fields, devices)
    for name in ("hashrate_ghs", "hashrate_5s_ghs"):
        fields[name] = plausible.sha256_ghs(fields[name])
    version, mode = version_row(replies), first(replies.get("mode"), "Mode")
    target = plausible.leading_number(pick(summary, ("ThsThrottle",)) or mode.get("Ths"))
    keep(
        fields,
        maker="Auradine",
        model=plausible.text(pick(report, ("model", "Model", "type")) or pick(version, ("Type", "Model"))),
        firmware_version=plausible.text(pick(version, ("GCMiner", "gcminer")) or report.get("version"), 50),
        serial_number=plausible.text(report.get("SerialNo")),
        mac_address=plausible.mac_address(report.get("mac")),
        hostname=plausible.text(report.get("hostname")),
        hashrate_expected_ghs=target * 1000 if target else None,
        power_consumption=_power(replies, summary),
    )
    _read_boards(replies, devices, fields)
    _read_fans(replies, fields)
    keep(fields, error_codes=_error_codes(replies), mining_state=_state(mode, fields))
    return fields


def _power(replies: Replies, summary: Row) -> float | None:
    supplies = rows(replies.get("psu"), "PSU")
    drawn: float | None = total(plausible.watts(row.get("PowerIn")) for row in supplies)
    return plausible.watts(summary.get("Wattage")) or drawn


def _read_boards(replies: Replies, devices: list[Row], fields: Fields) -> None:
    sensors = {_id(row): row for row in rows(replies.get("temperature"), "Temperature") if _id(row)}
    clocks = {_id(row): row for row in rows(replies.get("frequency"), "Frequency") if _id(row)}
    counted = first(replies.get("asccount"), "ASCCount")
    chips, boards = plausible.small_count(counted.get("AsicCount")), plausible.small_count(counted.get("BoardCount"))
    each = chips // boards if chips and boards else None
    found = device_boards(devices) or tuple(Board(id=board) for board in sensors)
    detailed = tuple(_with_details(board, sensors.get(board.id, {}), clocks.get(board.id, {}), each) for board in found)
    chip_sensors = [value for row in sensors.values() for value in _values(row, "ChipTemp", "Temperature")]
    board_sensors = [value for row in sensors.values() for value in _values(row, "BoardTemp", "Temperature")]
    keep(fields, boards=detailed, temperature_chips=tuple(chip_sensors), temperature_boards=tuple(board_sensors))


def _id(row: Row) -> int:
    return plausible.small_count(row.get("ID")) or 0


def _values(row: Row, section: str, name: str) -> list[float]:
    return [value for item in rows(row, section) if (value := plausible.temperature(item.get(name))) is not None]


def _with_details(board: Board, sensors: Row, clocks: Row, chips: int | None) -> Board:
    frequencies = [value for item in rows(clocks, "ChipFrequency") if (value := plausible.frequency(item.get("Frequency"))) is not None]
    return replace(
        board,
        temperature=max(_values(sensors, "BoardTemp", "Temperature"), default=board.temperature),
        temperature_chip=max(_values(sensors, "ChipTemp", "Temperature"), default=board.temperature_chip),
        frequency=board.frequency or mean(frequencies),
        chips_total=len(rows(sensors, "ChipTemp")) or chips,
    )


def _read_fans(replies: Replies, fields: Fields) -> None:
    fans = rows(replies.get("fan"), "Fan")
    keep(fields, fan_speeds=tuple(speed for row in fans if (speed := plausible.rpm(row.get("Speed"))) is not None))


def _error_codes(replies: Replies) -> tuple[str, ...]:
    """Codes 2 and 3 of the LED are "hashing" and "locating", not faults."""
    code = plausible.small_count(first(replies.get("led"), "LED").get("Code"))
    return () if code in (None, 0, 2, 3) else (str(code),)


def _state(mode: Row, fields: Fields) -> MiningState | None:
    asleep = str(mode.get("Sleep", "")).lower() in ("on", "true", "1")
    return MiningState.SLEEPING if asleep and not fields["hashrate_5s_ghs"] else None
