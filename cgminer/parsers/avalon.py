"""Avalon: everything about a module is one string of `Key[value value …]` under `MM ID0`, several modules a controller on older ones.

`GHSmm` is the rate the clocks should give, `GHSspd` the present and `GHSavg` the average measured one (GH/s). `MTmax`, `MTavg` and `MGHS`
list the hash boards. `PS` holds the power supply's readings, the fifth its output in W; `WALLPOWER` is measured at the wall, `MPO` is the
limit. Home models (Q, Nano, Mini) use `MM ID0:Summary` and put chips into `HBinfo`.
"""

from __future__ import annotations

import re
from typing import Final

from cgminer import plausible
from cgminer.parsers import rates
from cgminer.parsers.basics import mean, read_basics, total
from cgminer.parsers.sections import Fields, Replies, Row, device_rows, fill, first, keep, pick, stats_rows, summary_row, version_row
from cgminer.snapshot import Board, MiningState

Module = dict[str, str]

_SAME_RUN_S: Final = 600
_MAX_MODULES: Final = 64
_MAX_BOARDS: Final = 8
_MAX_FANS: Final = 20
_OUTPUT_POWER: Final = 4
_FAN: Final = re.compile(r"Fan\d{0,2}")
_OLD_VERSION: Final = re.compile(r"(\d{3})\d{4}-")
_VERSION: Final = re.compile(r"(\d{3,4})(?:-\d{1,3})?-")
_IDLE_WORDS: Final = ("idle", "standby", "stop", "sleep")


def modules_of(row: Row) -> list[Module]:
    return [_merged(name, value, row) for name, value in row.items() if name[:5] == "MM ID" and type(value) is str][:_MAX_MODULES]


def _merged(name: str, value: str, row: Row) -> Module:
    module = pairs(value)
    boards = row.get("HBinfo")
    if name.endswith(":Summary") and type(boards) is str:
        for index, block in enumerate(boards.split("'HB")[1 : _MAX_BOARDS + 1]):
            module.setdefault(f"PVT_T{index}", pairs(block).get("PVT_T0", ""))
    return module


def pairs(text: str) -> Module:
    """`Ver[1246] Fan1[5344] PVT_T0[ 63 70]` as a dict; a key is the last word before its bracket."""
    found: Module = {}
    for part in text.split("]"):
        head, bracket, value = part.partition("[")
        if bracket:
            found[head.rpartition(" ")[2].rpartition("{")[2]] = value
    return found


def _numbers(module: Module, name: str) -> list[float | None]:
    return [plausible.number(item) for item in module.get(name, "").split()]


def _temperatures(module: Module, name: str) -> list[float | None]:
    return [plausible.temperature(item) for item in module.get(name, "").split()]


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    found = stats_rows(replies)
    modules = [module for row in found for module in modules_of(row)]
    _read_identity(version_row(replies), modules, fields)
    _read_rates(replies, found, modules, fields)
    if modules:
        _read_modules(modules, fields)
    lcd = first(replies.get("lcd"), "LCD")
    fill(fields, temperature_ambient=plausible.temperature(lcd.get("Temperature")))
    return fields


def _read_identity(version: Row, modules: list[Module], fields: Fields) -> None:
    """The module's own version and DNA come first: `version` is the controller's."""
    own = modules[0] if modules else {}
    text = own.get("Ver", own.get("BVer", ""))
    match = _OLD_VERSION.match(text) or _VERSION.match(text)
    model = f"AvalonMiner {match[1]}" if match else plausible.text(pick(version, ("PROD", "MODEL")))
    firmware = pick(version, ("VERSION", "LVERSION", "CGVERSION")) or text
    if match and str(firmware) not in text:
        firmware = text
    keep(
        fields,
        maker="Avalon",
        model=model,
        firmware_version=plausible.text(firmware, 50),
        serial_number=plausible.text(own.get("DNA") or version.get("DNA")),
    )


def _read_rates(replies: Replies, found: list[Row], modules: list[Module], fields: Fields) -> None:
    """The summary's rates, when it is of the same run as the modules; else what the modules measured."""
    elapsed = [value for row in found if (value := plausible.uptime(row.get("Elapsed"))) is not None]
    elapsed += [value for module in modules if (value := plausible.uptime(module.get("Elapsed"))) is not None]
    summary = summary_row(replies)
    started = plausible.uptime(summary.get("Elapsed"))
    same_run = started is None or not elapsed or abs(started - elapsed[0]) <= _SAME_RUN_S
    if not same_run:
        fields["hashrate_ghs"] = fields["hashrate_5s_ghs"] = None
    fill(
        fields,
        hashrate_ghs=_sum_of(modules, "GHSavg"),
        hashrate_5s_ghs=_sum_of(modules, "GHSspd"),
        hashrate_expected_ghs=_sum_of(modules, "GHSmm") or None,
    )
    devices = device_rows(replies)
    fill(
        fields,
        hashrate_ghs=total(rates.average_ghs(row) for row in devices),
        hashrate_5s_ghs=total(rates.short_ghs(row) for row in devices),
    )
    for name in ("hashrate_ghs", "hashrate_5s_ghs"):
        fields[name] = plausible.sha256_ghs(fields[name])
    keep(fields, uptime_seconds=elapsed[0] if elapsed else None)


def _sum_of(modules: list[Module], name: str) -> float | None:
    added: float | None = total(plausible.rate(module.get(name)) for module in modules)
    return None if added is None else round(added, 6)


def _read_modules(modules: list[Module], fields: Fields) -> None:
    boards: list[Board] = []
    for module in modules:
        boards.extend(_boards(module, len(boards)))
    duties = [duty for module in modules if (duty := plausible.percent(module.get("FanR"))) is not None]
    ambient = [value for module in modules for value in (_ambient(module),) if value is not None]
    clocks = [value for module in modules if (value := plausible.frequency(module.get("Freq"))) is not None]
    hottest = [value for module in modules if (value := plausible.temperature(module.get("TMax"))) is not None]
    own_sensors = ambient if len(boards) == len(modules) > 1 else [value for module in modules for value in _board_sensors(module)]
    limit: float | None = total(plausible.watts(module.get("MPO")) for module in modules)
    power: float | None = total(_power(module) for module in modules)
    keep(
        fields,
        boards=tuple(boards),
        fan_speeds=tuple([speed for module in modules for speed in _fans(module)])[:_MAX_FANS],
        fan_duty_percent=mean(duties),
        temperature_ambient=max(ambient, default=None),
        temperature_boards=tuple(own_sensors),
        temperature_max=max(hottest, default=None),
        frequency_avg=mean(clocks),
        power_consumption=power,
        power_limit=limit,
        error_codes=plausible.codes(code for module in modules for code in _error_codes(module)),
        mining_state=_state(modules, fields),
    )


def _ambient(module: Module) -> float | None:
    return plausible.temperature(module.get("Temp", module.get("ITemp")))


def _fans(module: Module) -> list[int]:
    return [speed for name, value in module.items() if _FAN.fullmatch(name) and (speed := plausible.rpm(value)) is not None]


def _power(module: Module) -> float | None:
    wall = plausible.watts(module.get("WALLPOWER"))
    if wall is not None:
        return wall
    supply = _numbers(module, "PS")
    return plausible.watts(supply[_OUTPUT_POWER]) if len(supply) > _OUTPUT_POWER else None


def _boards(module: Module, first_id: int) -> list[Board]:
    """The module's boards; a module that does not list any is one itself."""
    listed_rates, hottest, averages = _numbers(module, "MGHS"), _temperatures(module, "MTmax"), _temperatures(module, "MTavg")
    count = min(max(len(listed_rates), len(hottest), 1), _MAX_BOARDS)
    if count == 1 and not listed_rates and not hottest:
        return [_whole_module(module, first_id)]
    sensors = _board_sensors(module) if count == 1 else []
    tmax, tavg = (plausible.temperature(module.get(name)) if count == 1 else None for name in ("TMax", "TAvg"))
    return [
        Board(
            id=first_id + index,
            hashrate_ghs=_at(listed_rates, index),
            temperature=max(sensors, default=_at(hottest, index) or tmax),
            temperature_chip=_at(hottest, index) or tmax or max(plausible.temperatures(module.get(f"PVT_T{index}")), default=None),
            temperature_chip_avg=_at(averages, index) or tavg,
            frequency=_clock(module, index),
            chips_total=len(module.get(f"PVT_T{index}", "").split()) or None,
        )
        for index in range(count)
    ]


def _whole_module(module: Module, position: int) -> Board:
    hottest = plausible.temperature(module.get("TMax"))
    return Board(
        id=position,
        hashrate_ghs=plausible.rate(module.get("GHSavg")),
        temperature=hottest,
        temperature_chip=hottest,
        temperature_chip_avg=plausible.temperature(module.get("TAvg")),
        frequency=plausible.frequency(module.get("Freq")),
        chips_total=plausible.small_count(module.get("TA")) or None,
    )


def _board_sensors(module: Module) -> list[float]:
    """Home models measure where the air enters and leaves the hash board."""
    return [value for name in ("HBITemp", "HBOTemp") if (value := plausible.temperature(module.get(name))) is not None]


def _at(values: list[float | None], index: int) -> float | None:
    return values[index] if index < len(values) else None


def _clock(module: Module, index: int) -> float | None:
    """`SF0` lists the clock steps that board 0 runs its chips at."""
    steps = [step for value in _numbers(module, f"SF{index}") if (step := plausible.frequency(value)) is not None]
    return mean(steps) or plausible.frequency(module.get("Freq"))


def _error_codes(module: Module) -> list[str]:
    codes = [f"ECHU{index}:{value}" for index, value in enumerate(module.get("ECHU", "").split()) if value != "0"]
    controller = module.get("ECMM", "0").strip()
    return (codes + ([f"ECMM:{controller}"] if controller not in ("0", "") else []))[:_MAX_BOARDS]


def _state(modules: list[Module], fields: Fields) -> MiningState | None:
    if fields.get("hashrate_5s_ghs"):
        return None
    switched_off = any(module.get("SoftOFF", "0").strip() not in ("0", "") for module in modules)
    idle = any(word in module.get("SYSTEMSTATU", "").lower() for module in modules for word in _IDLE_WORDS)
    return MiningState.SLEEPING if switched_off or idle else None
