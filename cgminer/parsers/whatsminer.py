"""Whatsminer: cgminer 4.9 (2018-2020) and API 2 (btminer).

`version` and `stats` are invalid commands on newer firmware: versions are in `get_version`, boards in `edevs` or `devs`, the power supply
in `get_psu`. The summary is under `SUMMARY` or under `Msg`. The rate fields are named MHS; some firmware puts TH/s there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from cgminer import plausible
from cgminer.parsers.basics import device_boards, rates_from_devices, read_basics
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, keep, message, pick, rows, stats_rows, summary_row
from cgminer.snapshot import Board, MiningState

_FANS: Final = ("Fan Speed In", "Fan Speed Out", "Power Fanspeed")
_TRUE: Final = (True, "true", "True", 1, "1")
_MAX_ERRORS: Final = 50
_SLOT_SENSORS: Final = tuple(f"temp_{sensor}" for sensor in range(1, 9))


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    summary, devices = summary_row(replies), device_rows(replies)
    factory = plausible.sha256_ghs(plausible.rate(summary.get("Factory GHS")))
    rates_from_devices(fields, devices)
    keep(
        fields,
        maker="Whatsminer",
        hashrate_ghs=plausible.sha256_ghs(fields["hashrate_ghs"], reference_ghs=factory),
        hashrate_5s_ghs=plausible.sha256_ghs(fields["hashrate_5s_ghs"], reference_ghs=factory),
        hashrate_expected_ghs=factory or None,
        fan_speeds=tuple(speed for name in _FANS if (speed := plausible.rpm(summary.get(name))) is not None),
        power_consumption=plausible.watts(pick(summary, ("Power", "Power_RT"))),
        power_limit=plausible.watts(summary.get("Power Limit")),
        power_mode=plausible.text(
            str(pick(summary, ("Power Mode",)) or pick(message(replies.get("status")), ("power_mode",)) or "").lower(), 20
        ),
        frequency_avg=plausible.frequency(summary.get("freq_avg")),
        temperature_ambient=plausible.temperature(summary.get("Env Temp")),
    )
    _read_boards(replies, devices, factory, fields)
    _read_temperatures(summary, fields)
    _read_identity(replies, summary, fields)
    keep(fields, error_codes=_error_codes(replies, summary), mining_state=_state(replies))
    return fields


def _read_boards(replies: Replies, devices: list[Row], factory: float | None, fields: Fields) -> None:
    share = factory / len(devices) if factory and devices else None
    boards = tuple(
        replace(board, hashrate_ghs=plausible.sha256_ghs(board.hashrate_ghs, reference_ghs=share)) for board in device_boards(devices)
    )
    if boards:
        keep(fields, boards=boards)
        return
    slots = [row for row in stats_rows(replies) if "slot" in row]
    sensors = tuple([value for row in slots for value in _slot_sensors(row)])
    keep(fields, boards=tuple(_slot_board(row) for row in slots), temperature_boards=sensors)


def _slot_sensors(row: Row) -> list[float]:
    return [found for name in _SLOT_SENSORS if (found := plausible.temperature(row.get(name))) is not None]


def _slot_board(row: Row) -> Board:
    """Before `edevs` (2018-2019) each board was a row of `stats`, with its clocks and sensors but without its rate."""
    sensors = _slot_sensors(row)
    chips, failed = plausible.small_count(row.get("chip_num")), plausible.small_count(row.get("err_chips"))
    return Board(
        id=plausible.small_count(row.get("slot")) or 0,
        temperature=max(sensors, default=None),
        frequency=plausible.frequency(row.get("freqs_avg")),
        chips_total=chips,
        chips_ok=max(chips - failed, 0) if chips is not None and failed is not None else None,
    )


def _read_temperatures(summary: Row, fields: Fields) -> None:
    """`Temperature` is the hottest board; chip extremes stand in the summary when boards were not asked for."""
    hottest, chips_max = plausible.temperature(summary.get("Temperature")), plausible.temperature(summary.get("Chip Temp Max"))
    board_max = [board.temperature for board in fields.get("boards", ()) if board.temperature is not None]
    chip_max = [board.temperature_chip for board in fields.get("boards", ()) if board.temperature_chip is not None]
    highest = [value for value in (hottest, chips_max, *board_max, *chip_max) if value is not None]
    lowest = plausible.temperature(summary.get("Chip Temp Min"))
    keep(fields, temperature_max=max(highest, default=None), temperature_min=lowest)
    if not board_max:
        keep(fields, temperature_avg=hottest or plausible.temperature(summary.get("Chip Temp Avg")))


def _read_identity(replies: Replies, summary: Row, fields: Fields) -> None:
    version, info = message(replies.get("get_version")), message(replies.get("get_miner_info"))
    status = message(replies.get("status"))
    details = rows(replies.get("devdetails"), "DEVDETAILS")
    firmware = pick(version, ("fw_ver",)) or summary.get("Firmware Version") or pick(status, ("FirmwareVersion", "Firmware Version"))
    named = pick(info, ("miner_type", "model")) or pick(summary, ("Miner Type", "Model")) or (details[0].get("Model") if details else None)
    keep(
        fields,
        firmware_version=plausible.text(firmware, 50),
        api_version=plausible.text(str(version.get("api_ver") or "").removeprefix("whatsminer v"), 20),
        model=plausible.text(named),
        mac_address=plausible.mac_address(pick(info, ("mac",))),
        hostname=plausible.text(info.get("hostname")),
        serial_number=plausible.text(pick(info, ("minersn", "miner_sn", "sn"))),
    )


def _error_codes(replies: Replies, summary: Row) -> tuple[str, ...]:
    """Present errors only: `Factory Error Code` is history."""
    listed = list(_codes(message(replies.get("get_error_code")).get("error_code")))
    count = plausible.small_count(summary.get("Error Code Count"), _MAX_ERRORS) or 0
    listed.extend(code for index in range(count) if type(code := summary.get(f"Error Code {index}")) in (int, str))
    return plausible.codes(listed, _MAX_ERRORS)


def _codes(value: Any) -> Iterator[Any]:
    """Codes as numbers, as `{"329": "2022-.."}`, or in turn with their times; a time has dashes and colons."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield from item
        elif type(item) is int or (type(item) is str and item.strip().isdigit()):
            yield item


def _state(replies: Replies) -> MiningState | None:
    status = message(replies.get("status"))
    return MiningState.SLEEPING if pick(status, ("mineroff", "btmineroff")) in _TRUE else None
