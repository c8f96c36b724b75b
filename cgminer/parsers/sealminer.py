"""Sealminer (Bitdeer): one flat `STATS` object, boards and fans numbered in front ("0 Temp 2", "1 Speed"), rates in MH/s."""

from __future__ import annotations

from typing import Final

from cgminer import plausible
from cgminer.parsers.basics import read_basics
from cgminer.parsers.sections import Fields, Replies, Row, fill, keep, pick, stats_rows, version_row
from cgminer.snapshot import Board, MiningState

_SENSORS: Final = range(8)
_MAX_BOARDS, _MAX_FANS = 10, 20
_IDLE_WORDS: Final = ("suspend", "sleep", "standby", "stopped", "idle")


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    found = stats_rows(replies)
    stats = found[0] if found else {}
    for name in ("hashrate_ghs", "hashrate_5s_ghs"):
        fields[name] = plausible.sha256_ghs(fields[name])
    _read_boards(stats, fields)
    fans = plausible.small_count(stats.get("Fan Count"), _MAX_FANS) or 0
    keep(
        fields,
        maker="Sealminer",
        model=plausible.text(pick(version_row(replies), ("Type", "MODEL", "PROD")) or pick(stats, ("Model", "Type", "Miner Type"))),
        firmware_version=plausible.text(str(stats.get("Firmware") or ""), 50),
        serial_number=plausible.text(pick(stats, ("Ctrl Board SN", "Miner SN"))),
        mac_address=plausible.mac_address(stats.get("MAC")),
        hashrate_expected_ghs=_from_mhs(stats.get("MHS(Rated)")),
        power_consumption=plausible.watts(stats.get("PSU Input Power")),
        power_limit=plausible.watts(stats.get("Power Limit")),
        fan_speeds=tuple(speed for index in range(fans) if (speed := plausible.rpm(stats.get(f"{index} Speed"))) is not None),
        error_codes=_error_codes(stats),
        mining_state=_state(stats, fields),
    )
    fill(fields, uptime_seconds=plausible.uptime(stats.get("Elapsed")))
    return fields


def _from_mhs(value: object) -> float | None:
    found = plausible.rate(value)
    return round(found / 1000, 6) if found is not None else None


def _read_boards(stats: Row, fields: Fields) -> None:
    count = plausible.small_count(stats.get("Board Count"), _MAX_BOARDS) or 0
    sensors = {index: _sensors(stats, index) for index in range(count)}
    keep(
        fields,
        boards=tuple(_board(stats, index, sensors[index]) for index in range(count)),
        boards_total=count or None,
        temperature_boards=tuple(value for values in sensors.values() for value in values),
    )


def _sensors(stats: Row, board: int) -> list[float]:
    return [found for sensor in _SENSORS if (found := plausible.temperature(stats.get(f"{board} Temp {sensor}"))) is not None]


def _board(stats: Row, index: int, sensors: list[float]) -> Board:
    chips, bad = plausible.small_count(stats.get(f"{index} Chip Count")), plausible.small_count(stats.get(f"{index} Bad Chip Count"))
    return Board(
        id=index,
        hashrate_ghs=_from_mhs(stats.get(f"{index} MHS(Sample)")),
        temperature=max(sensors, default=None),
        frequency=plausible.frequency(stats.get(f"{index} Freq")),
        chips_ok=max(chips - bad, 0) if chips is not None and bad is not None else None,
        chips_total=chips,
        serial_number=plausible.text(stats.get(f"{index} SN")),
    )


def _error_codes(stats: Row) -> tuple[str, ...]:
    stated = stats.get("Error Code")
    words = str(stated).replace(",", " ").split() if type(stated) in (str, int) else []
    return plausible.codes(word for word in words if word != "None")


def _state(stats: Row, fields: Fields) -> MiningState | None:
    state = str(stats.get("PM State", "")).lower()
    asleep = not fields["hashrate_5s_ghs"] and any(word in state for word in _IDLE_WORDS)
    return MiningState.SLEEPING if asleep else None
