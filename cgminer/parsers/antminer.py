"""Antminer: stock firmware with the old and the new API, and what is built on it (Vnish, Hiveon, MSK, asicseer, fdminer, Blackminer).

Old API: `STATS` is a header and then one flat object with numbered keys (`chain_acn1`, `temp_pcb1`, `fan1`), one number a slot, empty slots
included. New API: lower-case keys, lists (`fan`, `chain`), times and rates under other names.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from cgminer import plausible
from cgminer.parsers import rates
from cgminer.parsers.basics import read_basics, total
from cgminer.parsers.sections import Fields, Replies, Row, fill, first, keep, message, pick, rows, stats_rows, version_row
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


_SLOT_NAMES: Final = tuple(_names_of(slot) for slot in range(17))
SLEEP_MODES: Final = frozenset({254, "254"})
_OTHER_BRANDS: Final = frozenset({"Blackminer", "BlackMiner", "Hammer", "Volcminer", "Elphapex"})
_VARIANT = re.compile(r"\s*\(((?:vnish|msk|hiveon|asicseer|anthill|braiins|luxos)[^)]*)\)\s*$", re.IGNORECASE)
_MODEL_FAMILY = re.compile(r"Antminer\s+([A-Z]+)\d*", re.IGNORECASE)
_FAMILY_UNITS: Final = {"L": 1e-3, "D": 1e-3, "E": 1e-3, "B": 1e-9, "Z": 1e-6}
"""Before `rate_unit` existed, "GHS 5s" was MH/s on scrypt, X11 and ethash models, H/s on B3, kSol/s on Z9 and Z11."""
_SOLUTIONS_PER_KSOL: Final = 1000


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    found = stats_rows(replies)
    main = next((row for row in found if _is_main(row)), found[-1] if found else {})
    header = found[0] if found else {}
    _read_identity(replies, header, main, fields)
    if "rate_avg" in main or "chain" in main or "rate_ideal" in main:
        read_new_api(replies, main, fields)
    else:
        read_old_api(replies, main, fields)
        keep(fields, power_consumption=_power(header, main))
    return fields


def _is_main(row: Row) -> bool:
    return "GHS 5s" in row or "miner_count" in row or "fan_num" in row or "chain_acn1" in row or "rate_avg" in row


def _read_identity(replies: Replies, header: Row, main: Row, fields: Fields) -> None:
    """Model and versions from `version`, else from the header of `stats` or the `INFO` of the new API."""
    version = version_row(replies)
    info = next((row for reply in replies.values() if (row := first(reply, "INFO"))), {})
    kind = plausible.text(version.get("Type") or header.get("Type") or info.get("type") or main.get("Type"))
    miner = version.get("Miner") or header.get("Miner") or info.get("miner_version") or main.get("miner_version")
    kind, firmware = _split_variant(kind)
    number = plausible.text(miner, 50)
    named = firmware if firmware is None or any(map(str.isdigit, firmware)) else f"{firmware} {number or ''}".strip()
    keep(fields, firmware_version=named or number)
    fill(fields, compile_time=plausible.text(version.get("CompileTime") or header.get("CompileTime") or info.get("CompileTime")))
    keep(fields, maker=_maker(kind), model=kind)


def _split_variant(kind: str | None) -> tuple[str | None, str | None]:
    """`Antminer S19 (Vnish 1.2.3)`: the machine and the firmware it runs. Other parentheses belong to the model."""
    match = _VARIANT.search(kind or "")
    return (kind[: match.start()], match[1][:50]) if kind and match else (kind, None)


def _maker(kind: str | None) -> str:
    """Blackminer and Hammer machines run the same program under their own name."""
    brand = (kind or "").partition(" ")[0]
    return brand if brand in _OTHER_BRANDS else "Antminer"


def unit_of(main: Row, model: str | None) -> float:
    """GH/s a unit of the fields named GHS."""
    stated = rates.unit_factor(main.get("rate_unit"))
    if stated is not None:
        return stated
    family = _MODEL_FAMILY.match(model or "")
    letter = family[1].upper() if family else "S"
    factor = _FAMILY_UNITS.get(letter, 1.0)
    if letter == "Z" and (plausible.rate(main.get("GHS av")) or 0) > _SOLUTIONS_PER_KSOL:
        return 1e-9
    return factor


def read_old_api(replies: Replies, main: Row, fields: Fields) -> None:
    unit = unit_of(main, fields.get("model"))
    bitcoin = unit >= 1
    for name, found in (("hashrate_ghs", rates.average_ghs(main)), ("hashrate_5s_ghs", rates.short_ghs(main))):
        fields[name] = _in_ghs(fields[name] if found is None else found, unit, bitcoin)
    if fields["hashrate_5s_ghs"] is None:
        fields["hashrate_5s_ghs"] = _in_ghs(plausible.rate(pick(main, ("total_rate", "total rate"))), unit, bitcoin)
    ideal = plausible.rate(pick(main, ("total_rateideal", "Ex Hash Rate")))
    fill(
        fields,
        hashrate_expected_ghs=_in_ghs(ideal, unit, bitcoin) or None,
        uptime_seconds=plausible.uptime(main.get("Elapsed")),
        hardware_errors=plausible.counter(main.get("no_matching_work")),
    )
    fields["boards"] = _boards(main, fields, unit)
    _read_fans(main, fields)
    _read_frequency(main, fields)
    fitted = plausible.small_count(main.get("miner_count"), len(_SLOT_NAMES))
    keep(fields, boards_total=max(fitted or 0, len(fields["boards"])) or None)
    _read_state(main, fields)


def _in_ghs(value: float | None, unit: float, bitcoin: bool) -> float | None:
    if value is None:
        return None
    in_ghs = value * unit
    # A slow start is real: only the upper bound corrects a field that does say GHS.
    return plausible.sha256_ghs(in_ghs) if bitcoin and in_ghs > plausible.MIN_SHA256_GHS else round(in_ghs, 9)


def _boards(main: Row, fields: Fields, unit: float) -> tuple[Board, ...]:
    fitted = [(names, sensors) for names in _SLOT_NAMES if (sensors := _sensors_if_fitted(main, names)) is not None]
    parts = [plausible.rate(main.get(names.rate)) for names, _ in fitted]
    whole = fields.get("hashrate_5s_ghs") or fields.get("hashrate_ghs")
    scale = unit * rates.scale_to_total([part * unit for part in parts if part], whole)
    keep(
        fields,
        temperature_boards=tuple([value for _, (pcb, _) in fitted for value in pcb]),
        temperature_chips=tuple([value for _, (_, chips) in fitted for value in chips]),
    )
    return tuple([_board(main, names, part, scale, sensors) for (names, sensors), part in zip(fitted, parts, strict=True)])


def _sensors_if_fitted(main: Row, names: SlotNames) -> Sensors | None:
    """A slot with chips, a rate, a clock or sensors is fitted; anything else is an empty connector."""
    if names.chips not in main and names.pcb not in main and names.sensor not in main and names.blackminer_chips not in main:
        return None
    sensors = _sensors(main, names)
    if main.get(names.chips) or sensors[0] or sensors[1] or plausible.rate(main.get(names.rate)) or main.get(names.states):
        return sensors
    return sensors if plausible.frequency(pick(main, names.clocks)) else None


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
    working, listed = _chip_states(main.get(names.states))
    return Board(
        id=names.slot,
        hashrate_ghs=None if rate is None else round(rate * scale, 6),
        temperature=max(sensors[0], default=None),
        temperature_chip=max(sensors[1], default=None),
        frequency=plausible.frequency(pick(main, names.clocks)),
        chips_ok=working if listed >= (found_chips or 0) else None,
        chips_total=max(found_chips or 0, listed) if found_chips is not None or listed else None,
        serial_number=plausible.text(pick(main, names.serials)),
    )


def _chip_states(states: object) -> tuple[int | None, int]:
    """`" ooo oox"`: o works, x fails, - is silent."""
    if type(states) is not str or not states.strip():
        return None, 0
    working = states.count("o")
    return working, working + states.count("x") + states.count("-")


def _read_fans(main: Row, fields: Fields) -> None:
    speeds = [speed for names in _SLOT_NAMES if (value := main.get(names.fan)) and (speed := plausible.rpm(value)) is not None]
    keep(fields, fan_speeds=tuple(speeds), fan_duty_percent=plausible.percent(pick(main, ("fan_pwm", "fan_duty"))) or None)


def _read_frequency(main: Row, fields: Fields) -> None:
    clocks = [board.frequency for board in fields["boards"] if board.frequency]
    average = sum(clocks) / len(clocks) if clocks else None
    stated = plausible.frequency(main.get("total_freqavg"))
    keep(fields, frequency_avg=stated or average or plausible.frequency(main.get("frequency")))


def _power(header: Row, main: Row) -> float | None:
    """MSK firmware has a total, Vnish one figure a chain. `chain_power` of Hiveon is not in watts."""
    stated = plausible.watts(header.get("total_power")) or plausible.watts(main.get("total_power"))
    drawn = [value for names in _SLOT_NAMES if (value := main.get(names.consumption))]
    return stated or total(plausible.watts(value) for value in drawn)


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


def read_new_api(replies: Replies, main: Row, fields: Fields) -> None:
    summary = first(replies.get("summary"), "SUMMARY")
    unit = rates.unit_factor(main.get("rate_unit") or summary.get("rate_unit")) or 1.0

    def in_ghs(*values: object) -> float | None:
        found = next((rate for value in values if (rate := plausible.rate(value)) is not None), None)
        return _in_ghs(found, unit, unit >= 1)

    keep(
        fields,
        hashrate_ghs=in_ghs(main.get("rate_avg"), summary.get("rate_avg")),
        hashrate_5s_ghs=in_ghs(main.get("rate_5s"), main.get("hashrate"), summary.get("rate_5s")),
        hashrate_expected_ghs=in_ghs(main.get("rate_ideal"), summary.get("rate_ideal")) or None,
        power_consumption=plausible.watts(pick(main, ("watt", "power"))),
        fan_speeds=tuple(speed for value in _list(main.get("fan")) if (speed := plausible.rpm(value)) is not None),
    )
    fill(fields, uptime_seconds=plausible.uptime(main.get("elapsed")))
    chains = rows(main, "chain")
    _read_chains(chains, unit, fields)
    fitted = plausible.small_count(main.get("chain_num"), len(_SLOT_NAMES))
    keep(fields, boards_total=fitted or len(chains) or None)
    asleep = plausible.small_count(main.get("miner-mode")) == 1 and not fields.get("hashrate_5s_ghs")
    keep(fields, mining_state=MiningState.SLEEPING if asleep else None, error_codes=_faults(summary))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _read_chains(chains: list[Row], unit: float, fields: Fields) -> None:
    boards = []
    pcb_sensors: list[float] = []
    chip_sensors: list[float] = []
    for position, chain in enumerate(chains):
        pcb, chips = plausible.temperatures(chain.get("temp_pcb")), plausible.temperatures(chain.get("temp_chip"))
        pcb_sensors.extend(pcb)
        chip_sensors.extend(chips)
        boards.append(_chain_board(chain, position, unit, pcb, chips))
    keep(fields, boards=tuple(boards), temperature_boards=tuple(pcb_sensors), temperature_chips=tuple(chip_sensors))
    fill(fields, hardware_errors=total(plausible.counter(chain.get("hw")) for chain in chains))


def _chain_board(chain: Row, position: int, unit: float, pcb: tuple[float, ...], chips: tuple[float, ...]) -> Board:
    index = plausible.small_count(chain.get("index"), 100)
    rate = plausible.rate(chain.get("rate_real"))
    chips_ok, listed = _chip_states(chain.get("asic"))
    found = plausible.small_count(chain.get("asic_num"))
    return Board(
        id=position if index is None else index,
        hashrate_ghs=None if rate is None else round(rate * unit, 6),
        temperature=max(pcb, default=None),
        temperature_chip=max(chips, default=None),
        frequency=plausible.frequency(chain.get("freq_avg")),
        chips_ok=chips_ok,
        chips_total=found if found is not None else listed or None,
        serial_number=plausible.text(chain.get("sn")),
    )


def _faults(summary: Row) -> tuple[str, ...]:
    """The checks of the new API that failed: `status` rows other than "s"."""
    failed = [row for row in rows(summary, "status") if str(row.get("status", "s")).lower() != "s"]
    return tuple(found for row in failed if (found := plausible.text(row.get("type")) or plausible.text(message(row).get("type"))))
