"""Spondoolies: `stats` holds one text, `json-stats`, which is JSON again: fans, and a top and a bottom board."""

from __future__ import annotations

from cgminer import plausible
from cgminer.errors import MinerError
from cgminer.parsers.basics import total
from cgminer.parsers.sections import Fields, Row, keep
from cgminer.snapshot import Board
from cgminer.wire import decode


def read(stats: list[Row], fields: Fields) -> None:
    found = next((text for row in stats if type(text := row.get("json-stats")) is str), None)
    if found is None:
        return
    try:
        inner = decode(found.encode())
    except MinerError:
        return
    sides = [value for name, value in inner.items() if name.endswith("-board") and type(value) is dict]
    speeds = inner.get("fan-speeds")
    power: float | None = total(plausible.watts(side.get("power")) for side in sides)
    keep(
        fields,
        boards=tuple(_board(side, index) for index, side in enumerate(sides)),
        temperature_boards=tuple(value for side in sides for value in _sensors(side, ("front-temp", "rear-temp", "psu-temp"))),
        fan_speeds=tuple(speed for value in (speeds if type(speeds) is list else ()) if (speed := plausible.rpm(value)) is not None),
        fan_duty_percent=plausible.percent(inner.get("fan-percent")),
        power_consumption=power,
    )


def _sensors(side: Row, names: tuple[str, ...]) -> list[float]:
    return [value for name in names if (value := plausible.temperature(side.get(name))) is not None]


def _board(side: Row, index: int) -> Board:
    rate = plausible.rate(side.get("avg-hashrate"))
    return Board(
        id=index,
        hashrate_ghs=None if rate is None else round(rate / 1000, 6),
        temperature=max(_sensors(side, ("front-temp", "rear-temp")), default=None),
        temperature_chip=plausible.temperature(side.get("max-temp")),
        chips_ok=plausible.small_count(side.get("working-asics")),
    )
