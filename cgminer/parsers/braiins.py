"""Braiins OS (bosminer, BOSer): boards by `ID` in `devs`, `temps` and `devdetails`; fans in `fans`; power in `tunerstatus`."""

from __future__ import annotations

from dataclasses import replace

from cgminer import plausible
from cgminer.parsers.basics import device_boards, mean, rates_from_devices, read_basics, total
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, first, keep, rows, version_row
from cgminer.snapshot import Board, MiningState

_SENSORS = ("Board", "TopLeft", "TopRight", "BottomLeft", "BottomRight")


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    devices = device_rows(replies)
    rates_from_devices(fields, devices)
    details = {_id(row): row for row in rows(replies.get("devdetails"), "DEVDETAILS")}
    fields["boards"] = tuple(_with_details(board, details.get(board.id, {})) for board in device_boards(devices))
    keep(
        fields,
        maker="Antminer",
        model=next((name for row in details.values() if (name := plausible.text(row.get("Model")))), None),
        firmware_version=_firmware_version(version_row(replies)),
        hashrate_expected_ghs=nominal_ghs(devices),
    )
    read_temps(replies, fields)
    read_fans(replies, fields)
    tuner = first(replies.get("tunerstatus"), "TUNERSTATUS")
    keep(
        fields,
        power_consumption=plausible.watts(tuner.get("ApproximateMinerPowerConsumption")),
        power_limit=plausible.watts(tuner.get("PowerLimit")),
    )
    if "devs" in replies and not devices and not fields["hashrate_5s_ghs"]:
        # A paused bosminer lists no devices and says nothing else about it.
        fields["mining_state"] = MiningState.SLEEPING
    return fields


def _firmware_version(version: Row) -> str | None:
    return next((plausible.text(value, 50) for key, value in version.items() if key.rstrip("+") in ("BOSminer", "BOSer")), None)


def _id(row: Row) -> int | None:
    return plausible.small_count(row.get("ID"))


def _with_details(board: Board, details: Row) -> Board:
    clock = board.frequency or plausible.frequency(details.get("Frequency"))
    return replace(board, chips_total=plausible.small_count(details.get("Chips")), frequency=clock)


def nominal_ghs(devices: list[Row]) -> float | None:
    nominal = total(plausible.rate(row.get("Nominal MHS")) for row in devices)
    return round(nominal / 1000, 6) if nominal else None


def read_temps(replies: Replies, fields: Fields) -> None:
    """`temps` by board: `Board` and `Chip` in bosminer, the four corners of the board in LuxOS."""
    boards: dict[int, Board] = {board.id: board for board in fields.get("boards", ())}
    pcb_sensors: list[float] = []
    chip_sensors: list[float] = []
    for row in rows(replies.get("temps"), "TEMPS"):
        pcb = [found for name in _SENSORS if (found := plausible.temperature(row.get(name))) is not None]
        chip = plausible.temperature(row.get("Chip"))
        pcb_sensors.extend(pcb)
        chip_sensors.extend(() if chip is None else (chip,))
        known = boards.get(_id(row) or 0)
        if known is not None and known.id == _id(row):
            hottest = max(pcb, default=known.temperature)
            boards[known.id] = replace(known, temperature=hottest, temperature_chip=chip or known.temperature_chip)
    keep(fields, temperature_boards=tuple(pcb_sensors), temperature_chips=tuple(chip_sensors), boards=tuple(boards.values()))


def read_fans(replies: Replies, fields: Fields) -> None:
    fans = rows(replies.get("fans"), "FANS")
    speeds = [plausible.rpm(row.get("RPM")) for row in fans]
    duties = [duty for row in fans if (duty := plausible.percent(row.get("Speed"))) is not None]
    keep(fields, fan_speeds=tuple(speed for speed in speeds if speed is not None), fan_duty_percent=mean(duties))
