"""Antminer, old API: one flat object with numbered keys (`chain_acn1`, `temp_pcb1`, `fan1`), one number a slot, empty slots included."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache
from typing import Final, NamedTuple

from cgminer import plausible
from cgminer.parsers import rates
from cgminer.parsers.basics import total
from cgminer.parsers.sections import Fields, Row, fill, keep, pick
from cgminer.snapshot import Board, MiningState

Sensors = tuple[tuple[float, ...], tuple[float, ...]]
"""Of the board and of its chips, °C."""


class SlotNames(NamedTuple):
    """The field names of one slot; made once, because a farm of them is read every round."""

    slot: int
    chips: str
    states: str
    rate: str
    pcb: str
    chip: str
    sensor: str
    chip_sensors: tuple[str, ...]
    blackminer_chips: str
    clocks: tuple[str, ...]
    serials: tuple[str, ...]
    fan: str
    consumption: str


class Layout(NamedTuple):
    """Which of the numbered fields a firmware has."""

    slots: tuple[SlotNames, ...]
    """Slots a board may be in; of alternative names only those that are there."""
    fans: tuple[str, ...]
    consumption: tuple[str, ...]


def _names_of(slot: int) -> SlotNames:
    return SlotNames(
        slot=slot,
        chips=f"chain_acn{slot}",
        states=f"chain_acs{slot}",
        rate=f"chain_rate{slot}",
        pcb=f"temp_pcb{slot}",
        chip=f"temp_chip{slot}",
        sensor=f"temp{slot}",
        chip_sensors=(f"temp2_{slot}", f"temp3_{slot}", f"temp4_{slot}"),
        blackminer_chips=f"chipTemp{slot}",
        clocks=(f"freq{slot}", f"freq_avg{slot}", f"chain_freq{slot}"),
        serials=(f"chain_sn{slot}", f"sn{slot}"),
        fan=f"fan{slot}",
        consumption=f"chain_consumption{slot}",
    )


_SLOT_NAMES: Final = tuple(_names_of(slot) for slot in range(33))
_MOST_FIELDS: Final = 500
_NO_SENSORS: Final = ("0-0-0-0", None, "", 0)
SLEEP_MODES: Final = (254, "254")
_MODEL_FAMILY = re.compile(r"Antminer\s+([A-Z]+)\d*", re.IGNORECASE)
_FAMILY_UNITS: Final = {"L": 1e-3, "D": 1e-3, "E": 1e-3, "B": 1e-9, "Z": 1e-6, "Hammer": 1e-3}
"""Before `rate_unit` existed, "GHS 5s" was MH/s on scrypt, X11 and ethash models, H/s on B3, kSol/s on Z9 and Z11."""
_SOLUTIONS_PER_KSOL: Final = 1000


def layout_of(main: Row) -> Layout:
    """A farm's miners of one firmware have the same fields in the same order, so this is worked out once, not for each of them."""
    return _remembered_layout(tuple(main)) if len(main) <= _MOST_FIELDS else _layout(main.keys())


@lru_cache(maxsize=64)
def _remembered_layout(names: tuple[str, ...]) -> Layout:
    return _layout(frozenset(names))


def _layout(present: Set[str]) -> Layout:
    slots = (names for names in _SLOT_NAMES if names.chips in present or names.sensor in present or names.pcb in present)
    return Layout(
        slots=tuple(
            names._replace(
                clocks=tuple(name for name in names.clocks if name in present),
                serials=tuple(name for name in names.serials if name in present),
                chip_sensors=tuple(name for name in names.chip_sensors if name in present),
            )
            for names in slots
        ),
        fans=tuple(names.fan for names in _SLOT_NAMES if names.fan in present),
        consumption=tuple(names.consumption for names in _SLOT_NAMES if names.consumption in present),
    )


def read_old_api(header: Row, main: Row, fields: Fields) -> None:
    layout = layout_of(main)
    unit = unit_of(main, fields.get("model"))
    bitcoin = unit >= 1
    for name, found in (("hashrate_ghs", rates.average_ghs(main)), ("hashrate_5s_ghs", rates.short_ghs(main))):
        fields[name] = in_ghs(fields[name] if found is None else found, unit, bitcoin)
    if fields["hashrate_5s_ghs"] is None:
        fields["hashrate_5s_ghs"] = in_ghs(plausible.rate(pick(main, ("total_rate", "total rate"))), unit, bitcoin)
    ideal = plausible.rate(pick(main, ("total_rateideal", "Ex Hash Rate")))
    fill(
        fields,
        hashrate_expected_ghs=in_ghs(ideal, unit, bitcoin) or None,
        uptime_seconds=plausible.uptime(main.get("Elapsed")),
        hardware_errors=plausible.counter(main.get("no_matching_work")),
    )
    fields["boards"] = _boards(main, layout, fields, unit)
    _read_fans(main, layout, fields)
    _read_frequency(main, fields)
    fitted = plausible.small_count(main.get("miner_count"), len(_SLOT_NAMES))
    keep(fields, boards_total=max(fitted or 0, len(fields["boards"])) or None, power_consumption=_power(header, main, layout))
    _read_state(main, fields)


def unit_of(main: Row, model: str | None) -> float:
    """GH/s a unit of the fields named GHS."""
    stated = rates.unit_factor(main.get("rate_unit"))
    if stated is not None:
        return stated
    family = _MODEL_FAMILY.match(model or "")
    letter = family[1].upper() if family else (model or "S")[:6]
    factor = _FAMILY_UNITS.get(letter, 1.0)
    if letter == "Z" and (plausible.rate(main.get("GHS av")) or 0) > _SOLUTIONS_PER_KSOL:
        return 1e-9
    return factor


def in_ghs(value: float | None, unit: float, bitcoin: bool) -> float | None:
    if value is None:
        return None
    in_ghs = value * unit
    # A slow start is real: only the upper bound corrects a field that does say GHS.
    return plausible.sha256_ghs(in_ghs) if bitcoin and in_ghs > plausible.MIN_SHA256_GHS else round(in_ghs, 9)


def _boards(main: Row, layout: Layout, fields: Fields, unit: float) -> tuple[Board, ...]:
    slots = [(names, *_slot(main, names)) for names in layout.slots]
    keep(
        fields,
        temperature_boards=tuple([value for _, (pcb, _), _ in slots for value in pcb]),
        temperature_chips=tuple([value for _, (_, chips), _ in slots for value in chips]),
    )
    working = [works for _, _, works in slots].count(True)
    spare = (plausible.small_count(main.get("miner_count"), len(_SLOT_NAMES)) or len(_SLOT_NAMES)) - working
    fitted = []
    for names, sensors, works in slots:
        if works or ((sensors[0] or sensors[1]) and spare > 0):
            spare -= not works
            fitted.append((names, sensors))
    parts = [plausible.rate(main.get(names.rate)) for names, _ in fitted]
    whole = fields.get("hashrate_5s_ghs") or fields.get("hashrate_ghs")
    scale = unit * rates.scale_to_total([part * unit for part in parts if part], whole)
    return tuple([_board(main, names, part, scale, sensors) for (names, sensors), part in zip(fitted, parts, strict=True)])


def _slot(main: Row, names: SlotNames) -> tuple[Sensors, bool]:
    """The sensors of a slot, and whether a board answers there: with chips, a rate or a clock. Sensors alone may number otherwise."""
    get = main.get
    works = get(names.chips) or get(names.states) or plausible.rate(get(names.rate))
    if not works and get(names.pcb) in _NO_SENSORS and get(names.chip) in _NO_SENSORS and not get(names.sensor):
        works = plausible.frequency(pick(main, names.clocks))
        if not works:
            return ((), ()), False
    return _sensors(main, names), bool(works or plausible.frequency(pick(main, names.clocks)))


def _sensors(main: Row, names: SlotNames) -> Sensors:
    """Board and chip sensors of a slot. The summarising `temp1`, `temp2_1` only count where the sensors are not listed one by one."""
    listed, listed_chips = main.get(names.pcb), main.get(names.chip)
    if listed is not None or listed_chips is not None:
        return plausible.temperatures(listed), plausible.temperatures(listed_chips)
    pcb = plausible.temperatures(main.get(names.sensor))
    if (chips := main.get(names.blackminer_chips)) is not None:
        return pcb, plausible.temperatures(chips)
    return pcb, tuple([found for name in names.chip_sensors if (found := plausible.temperature(main.get(name))) is not None])


def _board(main: Row, names: SlotNames, rate: float | None, scale: float, sensors: Sensors) -> Board:
    found_chips = plausible.small_count(main.get(names.chips))
    working, listed = chip_states(main.get(names.states))
    return Board(
        id=names.slot,
        hashrate_ghs=rate if rate is None or scale == 1 else round(rate * scale, 6),
        temperature=max(sensors[0]) if sensors[0] else None,
        temperature_chip=max(sensors[1]) if sensors[1] else None,
        frequency=plausible.frequency(pick(main, names.clocks)),
        chips_ok=working if listed >= (found_chips or 0) else None,
        chips_total=max(found_chips or 0, listed) if found_chips is not None or listed else None,
        serial_number=plausible.text(pick(main, names.serials)),
    )


def chip_states(states: object) -> tuple[int | None, int]:
    """`" ooo oox"`: o works, x fails, - is silent."""
    if type(states) is not str or not states.strip():
        return None, 0
    working = states.count("o")
    return working, working + states.count("x") + states.count("-")


def _read_fans(main: Row, layout: Layout, fields: Fields) -> None:
    speeds = [speed for name in layout.fans if (value := main[name]) and (speed := plausible.rpm(value)) is not None]
    keep(fields, fan_speeds=tuple(speeds), fan_duty_percent=plausible.percent(pick(main, ("fan_pwm", "fan_duty"))) or None)


def _read_frequency(main: Row, fields: Fields) -> None:
    clocks = [board.frequency for board in fields["boards"] if board.frequency]
    average = sum(clocks) / len(clocks) if clocks else None
    stated = plausible.frequency(main.get("total_freqavg"))
    keep(fields, frequency_avg=stated or average or plausible.frequency(main.get("frequency")))


def _read_state(main: Row, fields: Fields) -> None:
    """Asleep: the mode says so, or nothing was hashed since the start, no chip works, and it is not the heat."""
    if fields.get("hashrate_5s_ghs") or fields.get("hashrate_ghs"):
        return
    boards = fields["boards"]
    listed = [board for board in boards if board.chips_ok is not None]
    no_chip_works = bool(listed) and not any(board.chips_ok for board in listed)
    cool = max((board.temperature or 0 for board in boards), default=0) < 60
    if main.get("Mode") in SLEEP_MODES or (no_chip_works and cool):
        fields["mining_state"] = MiningState.SLEEPING


def _power(header: Row, main: Row, layout: Layout) -> float | None:
    """MSK firmware has a total, Vnish one figure a chain. `chain_power` of Hiveon is not in watts."""
    stated = plausible.watts(header.get("total_power")) or plausible.watts(main.get("total_power"))
    return stated or total([plausible.watts(value) for name in layout.consumption if (value := main[name])])
