"""Whatsminer's API 3 (btminer since the end of 2024): what the machine is in `get.device.info`, what it does in `get.miner.status`.

Rates are TH/s whatever their size, but for `detect-hash-rate`, which gives each board's rated GH/s as "33590:33794:34396:" and -1 where a
board was not measured. Flags and counts come as numbers or as text. A stopped mining program leaves the summary out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cgminer import plausible
from cgminer.parsers.basics import total
from cgminer.parsers.pools import PoolNames, pools_of
from cgminer.parsers.sections import NOTHING, Fields, Replies, Row, keep, message, pick, rows
from cgminer.snapshot import Board, MiningState, Pool

_GHS_A_THS: Final = 1000
_MOST_BOARDS: Final = 16
_POOLS: Final = PoolNames("id", "url", "account", "status", "stratum-active", "priority", "accepted", "rejected", "stale")
_POWER_MODES: Final = {"0": "low", "1": "normal", "2": "high"}
_SHORT: Final = ("hash-realtime", "hash-1min", "hash-15min")
_AVERAGE: Final = ("hash-average", "hash-15min", "hash-1min")


def read(replies: Replies) -> Fields:
    info, status = message(replies.get("get.device.info")), message(replies.get("get.miner.status"))
    setting = message(replies.get("get.miner.setting"))
    summary = _section(status, "summary")
    miner, power = _section(info, "miner"), _section(info, "power")
    fields: Fields = {"maker": "Whatsminer", "boards": (), "pools": _pools(status)}
    fields["hashrate_ghs"], fields["hashrate_5s_ghs"] = _ghs(pick(summary, _AVERAGE)), _ghs(pick(summary, _SHORT))
    keep(
        fields,
        hashrate_expected_ghs=_ghs(summary.get("factory-hash")) or total(_rated_boards(miner)),
        uptime_seconds=plausible.uptime(summary.get("elapsed")),
        frequency_avg=plausible.frequency(summary.get("freq-avg")),
        power_consumption=plausible.watts(pick(summary, ("power-realtime", "power-5min")) or power.get("pin")),
        power_limit=plausible.watts(summary.get("power-limit") or miner.get("power-limit-set") or setting.get("power-limit")),
        power_mode=_power_mode(pick(power, ("mode",)), setting),
        fan_speeds=_fans(summary, power),
        error_codes=plausible.codes(_codes(info.get("error-code"))),
    )
    _read_shares(fields)
    _read_boards(status, summary, miner, fields)
    _read_temperatures(summary, power, fields)
    _read_identity(info, miner, fields)
    keep(fields, mining_state=_state(miner, fields))
    return fields


def _section(row: Row, name: str) -> Row:
    value = row.get(name)
    return value if type(value) is dict else NOTHING


def _ghs(ths: Any) -> float | None:
    rate = plausible.rate(ths)
    return None if rate is None else round(rate * _GHS_A_THS, 6)


def _rated_boards(miner: Row) -> list[float]:
    """GH/s of the boards whose rate was measured at the factory."""
    rated = miner.get("detect-hash-rate")
    parts = rated.split(":")[:_MOST_BOARDS] if type(rated) is str else []
    return [rate for part in parts if (rate := plausible.rate(part))]


def _power_mode(mode: Any, setting: Row) -> str | None:
    number = str(mode) if type(mode) in (int, str) else ""
    return _POWER_MODES.get(number) or plausible.text(setting.get("power-mode"), 20) or plausible.text(number, 20)


def _fans(summary: Row, power: Row) -> tuple[int, ...]:
    speeds = (summary.get("fan-speed-in"), summary.get("fan-speed-out"), power.get("fanspeed"))
    return tuple([speed for value in speeds if (speed := plausible.rpm(value)) is not None])


def _codes(errors: Any) -> Iterator[str]:
    """`[{"531": "2025-03-12 14:52:35", "reason": "Slot1 not found."}]`; the reason is the maker's text for the code."""
    for error in errors if type(errors) is list else ():
        for word in error if type(error) is dict else (error,):
            if str(word).isdigit() and str(word) != "0":
                yield str(word)


def _pools(status: Row) -> tuple[Pool, ...]:
    found = rows(status, "pools")
    return pools_of(found, names=_POOLS) if found else ()


def _read_shares(fields: Fields) -> None:
    """Pools count them; most firmware gives only the share that was rejected."""
    pools: tuple[Pool, ...] = fields["pools"]
    for name in ("accepted_shares", "rejected_shares", "stale_shares"):
        fields[name] = total(getattr(pool, name) for pool in pools)


def _read_boards(status: Row, summary: Row, miner: Row, fields: Fields) -> None:
    hottest = summary.get("board-temperature")
    sensors = hottest if type(hottest) is list else [hottest]
    devices = rows(status, "edevs")[:_MOST_BOARDS]
    boards = []
    for index, row in enumerate(devices):
        position = plausible.small_count(pick(row, ("slot", "id")), 1000)
        slot = index if position is None else position
        # Sensors are listed by slot, or only those of the boards that are there.
        at = index if len(sensors) == len(devices) else slot
        boards.append(_board(row, miner, slot=slot, sensor=sensors[at] if at < len(sensors) else None))
    fitted = plausible.small_count(miner.get("board-num"), _MOST_BOARDS)
    keep(fields, boards=tuple(boards), temperature_boards=plausible.temperatures(sensors))
    keep(fields, boards_total=max(fitted, len(boards)) if fitted else None)


def _board(row: Row, miner: Row, *, slot: int, sensor: Any) -> Board:
    return Board(
        id=slot,
        hashrate_ghs=_ghs(row.get("hash-average")),
        temperature=plausible.temperature(sensor),
        temperature_chip=plausible.temperature(row.get("chip-temp-max")),
        temperature_chip_avg=plausible.temperature(row.get("chip-temp-avg")),
        frequency=plausible.frequency(row.get("freq")),
        chips_ok=plausible.small_count(row.get("effective-chips")),
        serial_number=plausible.text(miner.get(f"pcbsn{slot}")),
    )


def _read_temperatures(summary: Row, power: Row, fields: Fields) -> None:
    chips = [plausible.temperature(summary.get(f"chip-temp-{which}")) for which in ("min", "avg", "max")]
    known = [*fields.get("temperature_boards", ()), *(value for value in chips if value is not None)]
    known += [board.temperature_chip for board in fields["boards"] if board.temperature_chip is not None]
    keep(fields, temperature_min=chips[0], temperature_max=max(known, default=None))
    if not fields.get("temperature_boards"):
        keep(fields, temperature_avg=chips[1])
    inlet = plausible.temperature(summary.get("environment-temperature"))
    keep(fields, temperature_ambient=plausible.temperature(power.get("liquid-temperature")) if inlet is None else inlet)


def _read_identity(info: Row, miner: Row, fields: Fields) -> None:
    network, system = _section(info, "network"), _section(info, "system")
    keep(
        fields,
        model=plausible.text(miner.get("type")),
        serial_number=plausible.text(miner.get("miner-sn")),
        firmware_version=plausible.text(system.get("fwversion"), 50),
        api_version=plausible.text(str(system.get("api") or ""), 20),
        mac_address=plausible.mac_address(network.get("mac")),
        hostname=plausible.text(network.get("hostname")),
    )


def _state(miner: Row, fields: Fields) -> MiningState | None:
    """The mining program is stopped by a person or by an error; only the error codes tell which."""
    if miner.get("working") not in (False, "false", "False", 0, "0") or fields["hashrate_5s_ghs"]:
        return None
    return MiningState.FAULT if fields.get("error_codes") else MiningState.SLEEPING
