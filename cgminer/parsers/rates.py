"""Hash rates in GH/s, whichever window and unit a firmware has.

The average is what the firmware averages since its start ("av"); only without one the longest window up to half an hour is taken, because
longer windows count the time before the start as zero. The short window is the shortest there is.
"""

from __future__ import annotations

from typing import Any, Final

from cgminer import plausible
from cgminer.parsers.sections import Row

_UNITS: Final = (("GHS", 1.0), ("MHS", 1e-3))
_RARE_UNITS: Final = (("THS", 1e3), ("KHS", 1e-6), ("HS", 1e-9))
_AVERAGES: Final = ("av", "AV", "avg", "30m", "15m", "5m", "1m")
_SHORT: Final = ("5s", "20s", "30s", "30S", "1s", "10s", "15s", "60s", "1m", "5m", "15m", "30m")


def _names(windows: tuple[str, ...], units: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    return tuple((f"{unit} {window}", factor) for window in windows for unit, factor in units)


# A row keeps to one unit, so the rare ones wait at the end.
_AVERAGE_NAMES: Final = (*_names(_AVERAGES, _UNITS), *_names(_AVERAGES, _RARE_UNITS))
_SHORT_NAMES: Final = (*_names(_SHORT[:4], _UNITS), ("HS RT", 1e-3), *_names(_SHORT[4:], _UNITS), *_names(_SHORT, _RARE_UNITS))
_RATE_UNITS: Final = {"TH": 1e3, "GH": 1.0, "MH": 1e-3, "KH": 1e-6, "H": 1e-9, "TS": 1e3, "GS": 1.0, "MS": 1e-3, "KS": 1e-6, "S": 1e-9}


def average_ghs(row: Row) -> float | None:
    return _first(row, _AVERAGE_NAMES)


def short_ghs(row: Row) -> float | None:
    return _first(row, _SHORT_NAMES)


def _first(row: Row, names: tuple[tuple[str, float], ...]) -> float | None:
    for name, factor in names:
        if name in row and (value := plausible.rate(row[name])) is not None:
            return value if factor == 1 else round(value * factor, 9)
    return None


def unit_factor(rate_unit: Any) -> float | None:
    """GH/s a unit: "GH", "GH/s", "TH", "kSol"; None when it is not said."""
    if type(rate_unit) is not str:
        return None
    if rate_unit in _RATE_UNITS:
        return _RATE_UNITS[rate_unit]
    letters = rate_unit.strip().upper().removesuffix("/S").replace("SOL", "S")
    return _RATE_UNITS.get(letters, _RATE_UNITS.get(letters.removesuffix("S")))


def scale_to_total(parts: list[float], total_ghs: float | None) -> float:
    """The factor 1, 1,000 or 0.001 that makes board rates add up to the machine's rate; 1 when nothing says otherwise."""
    added = sum(parts)
    if not added or not total_ghs:
        return 1.0
    for factor in (1.0, 1e3, 1e-3):
        if 0.5 <= added * factor / total_ghs <= 2:
            return factor
    return 1.0
