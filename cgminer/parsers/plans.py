"""The short way to read an Antminer that is well, for farms of thousands that say the same but for their numbers.

How a reply is to be read hangs on which fields it has and on what the firmware says of itself. That is found out by the long way, the
parsers of this package, and remembered as a `Plan`; a reply of the same shape then costs a third of the time. A plan reads only what it
is sure of: numbers of the type and size they are meant to have, boards that hash, rates that add up. At anything else it steps back, and
the long way reads the reply. Both give the same snapshot, value for value, and `tests/cgminer/test_parsers_plans.py` holds them to it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from cgminer import plausible
from cgminer.parsers.antminer_slots import MOST_SLOTS, SlotNames, chip_states, layout_of, unit_of
from cgminer.parsers.basics import MAX_CHIP_READINGS, is_healthy, mean
from cgminer.parsers.pools import pools_of
from cgminer.parsers.rates import scale_to_total
from cgminer.parsers.sections import Fields, Replies, Row
from cgminer.snapshot import Board, MiningState, Snapshot

MOST_PLANS: Final = 256
MOST_FIRMWARES: Final = 1_024
_LONGEST_NAME: Final = 200
_LEAST_GHS: Final = 1_000
_MOST_FIELDS: Final = 300
_LONGEST_SHAPE: Final = 10_000
"""Letters in the names of all fields; a machine that sends more is not one of thousands."""
_MOST_POOLS: Final = 32
_MOST_CHIPS: Final = 10_000
_SECTIONS: Final = ("summary", "stats", "pools", "version")
_TOTALS: Final = ("Elapsed", "Accepted", "Rejected", "Stale", "Hardware Errors")
_NEEDED: Final = frozenset({"GHS 5s", "GHS av", "miner_count"})
_NEVER: Final = frozenset({"INFO", "MAC", "mac", "rate_avg", "rate_ideal", "chain", "fan_pwm", "fan_duty", "total_power"})
_ONLY_IN_MAIN: Final = frozenset({"ID", "GHS 5s", "miner_count", "fan_num", "chain_acn1"})
_IDENTITY: Final = ("maker", "model", "firmware_version", "software", "compile_time", "api_version")
_NO_SENSOR: Final = ("0-0-0-0", "", None)
_TEXT: Final = frozenset({str, type(None)})
_OBJECT: Final = frozenset({dict})
_WHOLE_NUMBER: Final = frozenset({int})


class Shape(NamedTuple):
    """The fields of every part of the reply that is read by their names."""

    replies: tuple[tuple[str, ...], ...]
    summary: tuple[str, ...]
    header: tuple[str, ...]
    main: tuple[str, ...]
    version: tuple[str, ...]


class Parts(NamedTuple):
    """The basic replies, taken apart."""

    shape: Shape
    said: tuple[str | None, ...]
    """What the firmware says of itself, beginning with whether each command succeeded."""
    summary: Row
    main: Row
    pools: list[Row]


class Plan:
    """How replies of one shape are read, and the firmwares that are known to reply so."""

    __slots__ = ("_clock_is_stated", "_expected", "_fans", "_of_firmware", "_slots")

    def __init__(self, main: Row) -> None:
        layout = layout_of(main)
        self._slots = tuple(
            [(slot.slot, slot.chips, slot.states, slot.rate, slot.pcb, slot.chip, slot.sensor, slot.clocks[0]) for slot in layout.slots]
        )
        self._fans = layout.fans
        self._expected = next((name for name in ("total_rateideal", "Ex Hash Rate") if name in main), None)
        self._clock_is_stated = "total_freqavg" in main
        self._of_firmware: dict[tuple[str | None, ...], Fields] = {}

    def learn(self, parts: Parts, snapshot: Snapshot) -> None:
        """The firmware that replied so was found to be an Antminer's, and said this of itself."""
        succeeded = set(parts.said[: len(_SECTIONS)]) == {"S"}
        if str(parts.main.get("ID", "")).startswith("POOL"):
            return  # no row of a machine
        # Below, the unit may hang on the numbers, which change.
        is_large = (snapshot.hashrate_ghs or 0) >= _LEAST_GHS
        if (
            succeeded
            and is_large
            and unit_of(parts.main, snapshot.model) == 1
            and all(len(word or "") <= _LONGEST_NAME for word in parts.said)
        ):
            if len(self._of_firmware) >= MOST_FIRMWARES:
                self._of_firmware.clear()
            self._of_firmware[parts.said] = {name: getattr(snapshot, name) for name in _IDENTITY}

    def read(self, parts: Parts, *, latency_ms: float) -> Snapshot | None:
        """None when something in the reply is not as it is meant to be."""
        identity = self._of_firmware.get(parts.said)
        summary, main = parts.summary, parts.main
        totals = [summary[name] for name in _TOTALS]
        if identity is None or not _are_counts(totals) or totals[0] > plausible.MAX_UPTIME_S:
            return None
        short, average = _ghs(main["GHS 5s"]), _ghs(main["GHS av"])
        expected = _ghs(main[self._expected]) if self._expected else None
        if short is None or average is None or (self._expected and expected is None):
            return None
        boards, pcb, chips = self._boards(main)
        warmest = mean([board.temperature for board in boards if board.temperature is not None])
        if not warmest or not chips or len(chips) > MAX_CHIP_READINGS or not _add_up(boards, short):
            return None
        verdicts = [verdict for board in boards if (verdict := is_healthy(board)) is not None]
        return Snapshot(
            **identity,
            mining_state=MiningState.MINING,
            hashrate_ghs=average,
            hashrate_5s_ghs=short,
            hashrate_expected_ghs=expected,
            temperature_avg=warmest,
            temperature_min=min(min(pcb), min(chips)),
            temperature_max=max(max(pcb), max(chips)),
            temperature_boards=pcb,
            temperature_chips=chips,
            fan_speeds=tuple([speed for name in self._fans if (speed := plausible.rpm(main[name])) is not None]),
            frequency_avg=self._frequency(main, boards),
            uptime_seconds=totals[0],
            accepted_shares=totals[1],
            rejected_shares=totals[2],
            stale_shares=totals[3],
            hardware_errors=totals[4],
            boards=boards,
            boards_total=max(plausible.small_count(main["miner_count"], MOST_SLOTS) or 0, len(boards)),
            boards_healthy=sum(verdicts) if verdicts else None,
            pools=pools_of(parts.pools),
            latency_ms=latency_ms,
        )

    def _boards(self, main: Row) -> tuple[tuple[Board, ...], tuple[float, ...], tuple[float, ...]]:
        """Boards, and the sensors of all of them; none at all when there is a slot that neither has chips nor is empty."""
        boards = []
        all_pcb: tuple[float, ...] = ()
        all_chips: tuple[float, ...] = ()
        for slot, of_chips, of_states, of_rate, of_pcb, of_chip, of_sensor, of_clock in self._slots:
            found, states = main[of_chips], main[of_states]
            rate, frequency = plausible.rate(main[of_rate]), plausible.frequency(main[of_clock])
            if type(found) is int and 0 < found <= _MOST_CHIPS:
                pcb, chips = plausible.temperatures(main[of_pcb]), plausible.temperatures(main[of_chip])
                all_pcb += pcb
                all_chips += chips
                working, listed = chip_states(states)
                board = Board(
                    id=slot,
                    hashrate_ghs=rate,
                    temperature=max(pcb) if pcb else None,
                    temperature_chip=max(chips) if chips else None,
                    frequency=frequency,
                    chips_ok=working if listed >= found else None,
                    chips_total=listed if listed > found else found,
                )
                boards.append(board)
            elif found or states or rate or frequency or not _are_empty(main[of_pcb], main[of_chip], main.get(of_sensor)):
                return (), (), ()
        return tuple(boards), all_pcb, all_chips

    def _frequency(self, main: Row, boards: tuple[Board, ...]) -> float | None:
        stated = plausible.frequency(main["total_freqavg"]) if self._clock_is_stated else None
        if stated:
            return stated
        clocks = [board.frequency for board in boards if board.frequency]
        return sum(clocks) / len(clocks) if clocks else plausible.frequency(main.get("frequency"))


_plans: dict[Shape, Plan | None] = {}
"""None for a shape that only the long way reads."""


def read_alike(replies: Replies, *, latency_ms: float) -> Snapshot | None:
    """What `parse_snapshot` makes of the basic replies when they are like others that were learnt; None otherwise."""
    if (parts := _apart(replies)) and (plan := _plans.get(parts.shape)):
        return plan.read(parts, latency_ms=latency_ms)
    return None


def learn(replies: Replies, snapshot: Snapshot) -> None:
    """Remember how these replies of an Antminer were read. Nothing is remembered of other replies than the basic ones."""
    parts = _apart(replies)
    if parts is None:
        return
    if parts.shape not in _plans:
        if sum(len(name) for name in _names_of(parts.shape)) > _LONGEST_SHAPE:
            return
        if len(_plans) >= MOST_PLANS:
            _plans.clear()
        _plans[parts.shape] = Plan(parts.main) if _can_be_planned(parts) else None
    if plan := _plans[parts.shape]:
        plan.learn(parts, snapshot)


def _apart(replies: Replies) -> Parts | None:
    """None when they are not built as an Antminer of the old API builds them."""
    if len(replies) != len(_SECTIONS):
        return None
    try:
        basic = [replies[name] for name in _SECTIONS]
        (summary,), (header, main), pools, (version,) = basic[0]["SUMMARY"], basic[1]["STATS"], basic[2]["POOLS"], basic[3]["VERSION"]
        statuses = [reply["STATUS"][0] for reply in basic]
        said = (
            *[status["STATUS"] for status in statuses],
            *[status["Description"] for status in statuses],
            *header.values(),
            *version.values(),
            *[main.get(name) for name in ("ID", "Type", "miner_version", "rate_unit")],
        )
        objects = _OBJECT.issuperset(map(type, (summary, header, main, version, *pools)))
        if not objects or not _TEXT.issuperset(map(type, said)) or not 0 < len(pools) <= _MOST_POOLS or len(main) > _MOST_FIELDS:
            return None
        shape = Shape(tuple(map(tuple, basic)), tuple(summary), tuple(header), tuple(main), tuple(version))
        return Parts(shape, said, summary, main, pools)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None


def _can_be_planned(parts: Parts) -> bool:
    """Whether the fields are those of an ordinary machine, without any that asks for a second thought."""
    shape, main = parts.shape, parts.main
    names = _names_of(shape)
    if names & _NEVER or not (set(_TOTALS) <= set(shape.summary) and main.keys() >= _NEEDED) or _ONLY_IN_MAIN & set(shape.header):
        return False
    layout = layout_of(main)
    return bool(layout.slots) and not layout.consumption and all(_is_ordinary(slot, main) for slot in layout.slots)


def _names_of(shape: Shape) -> set[str]:
    return {*shape.summary, *shape.header, *shape.main, *shape.version, *(name for reply in shape.replies for name in reply)}


def _is_ordinary(names: SlotNames, main: Row) -> bool:
    present = {names.chips, names.states, names.rate, names.pcb, names.chip} <= main.keys()
    return present and len(names.clocks) == 1 and not names.serials


def _are_empty(pcb: Any, chip: Any, sensor: Any) -> bool:
    return pcb in _NO_SENSOR and chip in _NO_SENSOR and not sensor


def _are_counts(values: list[Any]) -> bool:
    return _WHOLE_NUMBER.issuperset(map(type, values)) and min(values) >= 0 and max(values) <= plausible.MAX_COUNTER


def _ghs(value: Any) -> float | None:
    """A rate that no rule corrects."""
    rate = plausible.rate(value)
    return rate if rate is not None and plausible.MIN_SHA256_GHS < rate <= plausible.MAX_SHA256_GHS else None


def _add_up(boards: tuple[Board, ...], whole: float) -> bool:
    """Whether the boards' rates are in the machine's own unit."""
    return scale_to_total([board.hashrate_ghs for board in boards if board.hashrate_ghs], whole) == 1
