"""Antminer, old API: one flat object with numbered keys (`chain_acn1`, `temp_pcb1`, `fan1`), one number a slot, empty slots included."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Final, NamedTuple

from cgminer import plausible
from cgminer.parsers import rates
from cgminer.parsers.basics import total
from cgminer.parsers.sections import Fields, Row, pick
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
    sides: tuple[str, ...]
    """Of boards whose sensors are told apart by the side the air or the water comes in: the board's first, then its chips'."""
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
        sides=(f"temp_in_pcb_{slot}", f"temp_out_pcb_{slot}", f"temp_in_chip_{slot}", f"temp_out_chip_{slot}"),
        blackminer_chips=f"chipTemp{slot}",
        clocks=(f"freq{slot}", f"freq_avg{slot}", f"chain_freq{slot}"),
        serials=(f"chain_sn{slot}", f"sn{slot}"),
        fan=f"fan{slot}",
        consumption=f"chain_consumption{slot}",
    )


MOST_SLOTS: Final = 33
_SLOT_NAMES: Final = tuple(_names_of(slot) for slot in range(MOST_SLOTS))
_MOST_FIELDS: Final = 500
_LONGEST_REMEMBERED: Final = 512
_NO_SENSORS: Final = ("0-0-0-0", None, "", 0)
SLEEP_MODES: Final = (254, "254")
_MODEL_FAMILY = re.compile(r"Antminer\s+([A-Z]+)(\d*)", re.IGNORECASE)
_FAMILY_UNITS: Final = {"L": 1e-3, "D": 1e-3, "E": 1e-3, "B": 1e-9, "Z": 1e-6, "Hammer": 1e-3}
"""Before `rate_unit` existed, "GHS 5s" was MH/s on scrypt, X11 and ethash models, H/s on B3, kSol/s on Z9 and Z11."""
_SOLUTIONS_PER_KSOL: Final = 1000
_FIRST_SCRYPT_IN_GHS, _MOST_SCRYPT_GHS = 7, 1000
"""An L3+ does 500 MH/s and an L7 9 GH/s: from there on a number below 1,000 under "GHS" is what it says."""


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
    average, short = rates.average_ghs(main), rates.short_ghs(main)
    fields["hashrate_ghs"] = in_ghs(fields["hashrate_ghs"] if average is None else average, unit, bitcoin)
    short = in_ghs(fields["hashrate_5s_ghs"] if short is None else short, unit, bitcoin)
    if short is None:
        short = in_ghs(plausible.rate(pick(main, ("total_rate", "total rate"))), unit, bitcoin)
    fields["hashrate_5s_ghs"] = short
    _fill_totals(main, fields, unit, bitcoin)
    fields["boards"] = _boards(main, layout, fields, unit)
    _read_fans(main, layout, fields)
    _read_frequency(main, fields)
    fitted = plausible.small_count(main.get("miner_count"), MOST_SLOTS)
    fitted = max(fitted or 0, len(fields["boards"]))
    if fitted:
        fields["boards_total"] = fitted
    if (power := _power(header, main, layout)) is not None:
        fields["power_consumption"] = power
    _read_state(main, fields)


def _fill_totals(main: Row, fields: Fields, unit: float, bitcoin: bool) -> None:
    """What `summary` did not say."""
    if fields.get("hashrate_expected_ghs") is None:
        fields["hashrate_expected_ghs"] = in_ghs(plausible.rate(pick(main, ("total_rateideal", "Ex Hash Rate"))), unit, bitcoin) or None
    if fields.get("uptime_seconds") is None:
        fields["uptime_seconds"] = plausible.uptime(main.get("Elapsed"))
    if fields.get("hardware_errors") is None:
        fields["hardware_errors"] = plausible.counter(main.get("no_matching_work"))


def unit_of(main: Row, model: str | None) -> float:
    """GH/s a unit of the fields named GHS."""
    stated = rates.unit_factor(main.get("rate_unit"))
    if stated is not None:
        return stated
    family = _MODEL_FAMILY.match(model or "")
    letter = family[1].upper() if family else (model or "S")[:6]
    factor = _FAMILY_UNITS.get(letter, 1.0)
    if letter == "L" and family and int(family[2] or 0) >= _FIRST_SCRYPT_IN_GHS and _is_in_gigahashes(main):
        return 1.0
    if letter == "Z" and (plausible.rate(main.get("GHS av")) or 0) > _SOLUTIONS_PER_KSOL:
        return 1e-9
    return factor


def _is_in_gigahashes(main: Row) -> bool:
    """Told from the rated rate, which a machine that starts has too."""
    stated = plausible.rate(pick(main, ("total_rateideal", "GHS av", "GHS 5s")))
    return bool(stated) and (stated or 0) < _MOST_SCRYPT_GHS


def in_ghs(value: float | None, unit: float, bitcoin: bool) -> float | None:
    if value is None:
        return None
    in_ghs = value * unit
    # A slow start is real: only the upper bound corrects a field that does say GHS.
    return plausible.sha256_ghs(in_ghs) if bitcoin and in_ghs > plausible.MIN_SHA256_GHS else round(in_ghs, 9)


class _Slot(NamedTuple):
    """What a slot says. `works`: a board answers there, with chips, a rate or a clock; sensors alone may number otherwise."""

    names: SlotNames
    rate: float | None
    pcb: tuple[float, ...]
    chips: tuple[float, ...]
    works: object


def _boards(main: Row, layout: Layout, fields: Fields, unit: float) -> tuple[Board, ...]:
    slots = []
    pcb: tuple[float, ...] = ()
    chips: tuple[float, ...] = ()
    for names in layout.slots:
        if slot := _slot(main, names):
            slots.append(slot)
            pcb += slot.pcb
            chips += slot.chips
    if pcb:
        fields["temperature_boards"] = pcb
    if chips:
        fields["temperature_chips"] = chips
    fitted = _fitted(slots, plausible.small_count(main.get("miner_count"), MOST_SLOTS) or MOST_SLOTS)
    whole = fields.get("hashrate_5s_ghs") or fields.get("hashrate_ghs")
    scale = unit * rates.scale_to_total([slot.rate * unit for slot in fitted if slot.rate], whole)
    return tuple([_board(main, slot, scale) for slot in fitted])


def _fitted(slots: Sequence[_Slot], most: int) -> Sequence[_Slot]:
    """Slots with a board in them: those that work, and as many of those with sensors as the machine says it has boards besides."""
    working = [slot for slot in slots if slot.works]
    spare = most - len(working)
    if spare <= 0 or len(working) == len(slots):
        return working
    fitted = []
    for slot in slots:
        if slot.works or ((slot.pcb or slot.chips) and spare > 0):
            spare -= not slot.works
            fitted.append(slot)
    return fitted


def _slot(main: Row, names: SlotNames) -> _Slot | None:
    """None for a slot that is empty."""
    get = main.get
    rate = plausible.rate(get(names.rate))
    works = get(names.chips) or get(names.states) or rate
    pcb, chips = get(names.pcb), get(names.chip)
    if not works:
        works = plausible.frequency(pick(main, names.clocks))
        if not works and pcb in _NO_SENSORS and chips in _NO_SENSORS and not get(names.sensor):
            return None
    if pcb is None and chips is None:
        return _Slot(names, rate, *_summarising_sensors(main, names), works)
    return _Slot(names, rate, plausible.temperatures(pcb), plausible.temperatures(chips), works)


def _summarising_sensors(main: Row, names: SlotNames) -> Sensors:
    """Board and chip sensors of a slot under `temp1`, `temp2_1`: they only count where the sensors are not listed one by one."""
    if any(side in main for side in names.sides):
        listed = [plausible.temperatures(main.get(side)) for side in names.sides]
        return listed[0] + listed[1], listed[2] + listed[3]
    pcb = plausible.temperatures(main.get(names.sensor))
    if (chips := main.get(names.blackminer_chips)) is not None:
        return pcb, plausible.temperatures(chips)
    return pcb, tuple([found for name in names.chip_sensors if (found := plausible.temperature(main.get(name))) is not None])


def _board(main: Row, slot: _Slot, scale: float) -> Board:
    names, rate, pcb, chips, _ = slot
    found_chips = plausible.small_count(main.get(names.chips))
    working, listed = chip_states(main.get(names.states))
    return Board(
        id=names.slot,
        hashrate_ghs=rate if rate is None or scale == 1 else round(rate * scale, 6),
        temperature=max(pcb) if pcb else None,
        temperature_chip=max(chips) if chips else None,
        frequency=plausible.frequency(pick(main, names.clocks)),
        chips_ok=working if listed >= (found_chips or 0) else None,
        chips_total=max(found_chips or 0, listed) if found_chips is not None or listed else None,
        serial_number=plausible.text(pick(main, names.serials)) if names.serials else None,
    )


def chip_states(states: object) -> tuple[int | None, int]:
    """`" ooo oox"`: o works, x fails, - is silent."""
    if type(states) is not str:
        return None, 0
    return _remembered_states(states) if len(states) <= _LONGEST_REMEMBERED else _counted(states)


def _counted(states: str) -> tuple[int | None, int]:
    if not states.strip():
        return None, 0
    working = states.count("o")
    return working, working + states.count("x") + states.count("-")


# A board that is well says the same as every other board of its model.
_remembered_states = lru_cache(4_096)(_counted)


def _read_fans(main: Row, layout: Layout, fields: Fields) -> None:
    if speeds := [speed for name in layout.fans if (speed := plausible.rpm(main[name])) is not None]:
        fields["fan_speeds"] = tuple(speeds)
    if duty := plausible.percent(pick(main, ("fan_pwm", "fan_duty"))):
        fields["fan_duty_percent"] = duty


def _read_frequency(main: Row, fields: Fields) -> None:
    if stated := plausible.frequency(main.get("total_freqavg")):
        fields["frequency_avg"] = stated
        return
    clocks = [board.frequency for board in fields["boards"] if board.frequency]
    average = sum(clocks) / len(clocks) if clocks else plausible.frequency(main.get("frequency"))
    if average:
        fields["frequency_avg"] = average


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
    for row in (header, main):
        if "total_power" in row and (stated := plausible.watts(row["total_power"])):
            return stated
    return total([plausible.watts(main[name]) for name in layout.consumption]) if layout.consumption else None
