"""LuxOS: `stats` like stock firmware, and more in `devs`, `fans`, `temps`, `power`, `config`, `profiles`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cgminer import plausible
from cgminer.parsers import antminer, rates
from cgminer.parsers.basics import device_boards, mean, rates_from_devices
from cgminer.parsers.braiins import nominal_ghs, read_fans, read_temps
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, fill, first, keep, rows
from cgminer.snapshot import Board, MiningState

_ASLEEP: Final = frozenset({"sleep", "sleeping", "curtailed", "curtail"})


def read(replies: Replies) -> Fields:
    fields = antminer.read(replies)
    devices = sorted(device_rows(replies), key=lambda row: plausible.small_count(row.get("ID")) or 0)
    rates_from_devices(fields, devices)
    fields["boards"] = _boards(fields["boards"], devices)
    fill(fields, hashrate_expected_ghs=nominal_ghs(devices))
    if not fields.get("temperature_boards"):
        read_temps(replies, fields)
    read_fans(replies, fields)
    keep(fields, temperature_ambient=_coolant(replies))
    config = first(replies.get("config"), "CONFIG")
    keep(
        fields,
        model=plausible.text(config.get("Model")),
        mac_address=plausible.mac_address(config.get("MACAddr")),
        hostname=plausible.text(config.get("Hostname")),
        serial_number=plausible.text(config.get("SerialNumber")),
        power_consumption=plausible.watts(first(replies.get("power"), "POWER").get("Watts")),
        power_limit=_power_limit(rows(replies.get("profiles"), "PROFILES"), config),
        mining_state=_state(config, fields),
    )
    return fields


def _boards(stated: tuple[Board, ...], devices: list[Row]) -> tuple[Board, ...]:
    """`stats` counts slots from 1, `devs` boards from 0; serial numbers are only in `devs`."""
    if not stated:
        return device_boards(devices)
    by_id = {plausible.small_count(row.get("ID")): row for row in devices}
    return tuple(_with_device(board, by_id.get(board.id - 1, {})) for board in stated)


def _with_device(board: Board, device: Row) -> Board:
    rate = board.hashrate_ghs if board.hashrate_ghs is not None else rates.average_ghs(device)
    return replace(board, hashrate_ghs=rate, serial_number=plausible.text(device.get("SerialNumber")))


def _power_limit(profiles: list[Row], config: Row) -> float | None:
    """The power of the profile in use."""
    chosen = config.get("Profile")
    return next((plausible.watts(row.get("Watts")) for row in profiles if chosen and row.get("Profile Name") == chosen), None)


def _coolant(replies: Replies) -> float | None:
    """`METADATA` of `temps` names the sensors: which of them measures the water that comes in, on machines that are cooled by it."""
    named = rows(replies.get("temps"), "METADATA")
    sensors = {sensor for row in named if row.get("Label") == "Water Inlet" for sensor in row if sensor != "Label"}
    found = [plausible.temperature(row.get(sensor)) for row in rows(replies.get("temps"), "TEMPS") for sensor in sensors]
    return mean([value for value in found if value is not None])


def _state(config: Row, fields: Fields) -> MiningState | None:
    if fields.get("hashrate_5s_ghs"):
        return None
    words = {str(config.get(name, "")).lower() for name in ("SystemStatus", "CurtailMode")}
    return MiningState.SLEEPING if words & _ASLEEP or config.get("IsPowerSupplyOn") is False else None
