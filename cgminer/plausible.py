"""Readings out of whatever a firmware put in a field.

Every function returns None for a value that is missing, is not what its name says, or cannot be true; none raises. Numbers come as numbers
or as text with blanks and thousands separators; `nan`, `inf` and words are missing values, not zeros.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Final

MAX_COUNTER: Final = 10**12
"""Shares or errors a miner can count in years of work; uninitialised memory shows as 1e15 and more."""
MAX_UPTIME_S: Final = 10 * 366 * 86_400
MIN_RPM, MAX_RPM = 200, 30_000
"""Below lies the number of fans or a duty cycle, not a speed."""
MAX_SHA256_GHS: Final = 5e6
MIN_SHA256_GHS: Final = 1.0
MAX_GHS: Final = 1e12
"""The bound of the wire contract, far beyond any machine of any coin."""

LONGEST_REMEMBERED: Final = 128
"""Characters of a text whose reading is worth remembering; what is longer is no reading but garbage, and would fill the memory."""

_NO_SENSORS: Final = frozenset({"", "0", "0-0-0-0", "0-0"})
_MAX_SENSOR_TEXT: Final = 4000
_HEX: Final = frozenset("0123456789ABCDEF")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_LEADING_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)")
_JOINED = re.compile(r"(?:^|[-\s,\[])(-?\d+(?:\.\d+)?)")


def number(value: Any) -> float | None:
    kind = type(value)
    if kind is int or kind is float:
        return float(value) if -1e300 < value < 1e300 else None
    return _number_in_text(value) if kind is str else None


def _number_in_text(text: str) -> float | None:
    if len(text) > 40:
        return None
    try:
        parsed = float(text)
    except ValueError:
        return _grouped(text)
    return parsed if math.isfinite(parsed) and "_" not in text else None


def _grouped(text: str) -> float | None:
    stripped = text.strip()  # more than `float` takes for white space
    return float(stripped.replace(",", "")) if _GROUPED.fullmatch(stripped) else None


def leading_number(value: Any) -> float | None:
    """A number that may be followed by its unit: "3512 W"."""
    if type(value) is str and (match := _LEADING_NUMBER.match(value[:60])):
        return float(match[1])
    return number(value)


def counter(value: Any) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNTER else None
    parsed = number(value)
    return int(parsed) if parsed is not None and 0 <= parsed <= MAX_COUNTER else None


def small_count(value: Any, limit: int = 10_000) -> int | None:
    """Chips, boards, slots."""
    if type(value) is int:
        return value if 0 <= value <= limit else None
    parsed = number(value)
    return int(parsed) if parsed is not None and 0 <= parsed <= limit else None


def uptime(value: Any) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= MAX_UPTIME_S else None
    parsed = number(value)
    return int(parsed) if parsed is not None and 0 <= parsed <= MAX_UPTIME_S else None


def temperature(value: Any) -> float | None:
    """°C. Exactly 0 is what firmware writes where there is no sensor; -273 likewise."""
    parsed = number(value) if type(value) is not float else value
    return parsed if parsed and -50 <= parsed <= 150 else None


def temperatures(value: Any) -> tuple[float, ...]:
    """Several sensors in one field: a list, `"60-58-73-74"`, `"60 58 73"`, `"[60, 58]"`; a minus after a dash is a sign."""
    if type(value) is not str:
        items = value if type(value) is list else [value]
        return tuple([found for item in items if (found := temperature(item)) is not None])
    return _remembered_sensors(value) if len(value) <= LONGEST_REMEMBERED else _sensors_in(value)


def _sensors_in(joined: str) -> tuple[float, ...]:
    if joined in _NO_SENSORS:
        return ()
    if len(joined) < _MAX_SENSOR_TEXT:
        try:  # a sign leaves an empty item, which is no number
            return tuple([found for item in joined.split("-") if (found := float(item)) and -50 <= found <= 150])
        except ValueError:
            pass
    return tuple([reading for item in _JOINED.findall(joined[:_MAX_SENSOR_TEXT]) if (reading := temperature(item)) is not None])


# The boards of a farm are about as warm as each other, so the same few degrees come again and again.
_remembered_sensors = lru_cache(8_192)(_sensors_in)


def rpm(value: Any) -> int | None:
    """A fan that turns; 0 is an empty connector as often as a stopped fan, so it is not a reading."""
    if type(value) is int:
        return value if MIN_RPM <= value <= MAX_RPM else None
    parsed = number(value)
    return round(parsed) if parsed is not None and MIN_RPM <= parsed <= MAX_RPM else None


def percent(value: Any) -> float | None:
    parsed = number(value.rstrip("% ") if type(value) is str else value)
    return parsed if parsed is not None and 0 <= parsed <= 100 else None


def frequency(value: Any) -> float | None:
    if type(value) is int:
        return float(value) if 1 < value <= 10_000 else None
    parsed = number(value)
    return parsed if parsed is not None and 1 < parsed <= 10_000 else None


def watts(value: Any) -> float | None:
    """0 W on a machine that answers is "not measured"."""
    parsed = leading_number(value)
    return parsed if parsed is not None and 1 <= parsed <= 100_000 else None


def rate(value: Any) -> float | None:
    kind = type(value)
    parsed = value if kind is float else _number_in_text(value) if kind is str else number(value)
    return parsed if parsed is not None and 0 <= parsed <= 1e15 else None


def sha256_ghs(ghs: float | None, *, reference_ghs: float | None = None) -> float | None:
    """A hash rate of a SHA-256 machine whose field name lies about its unit, in GH/s.

    Under 1 GH/s no such machine exists: the number is TH/s under a name that says MHS. Over 5 PH/s neither: it is MH/s or H/s under a name
    that says GHS. Between, a rate is believed, unless the machine's own rated value is a thousand times as much.
    """
    if not ghs:
        return ghs
    if ghs < MIN_SHA256_GHS:
        ghs *= 1e6
        return ghs if ghs >= 1e3 else None
    while ghs > MAX_SHA256_GHS:
        ghs /= 1000
    if reference_ghs and 0.0006 < ghs / reference_ghs < 0.0015:
        return ghs * 1000
    return ghs


def text(value: Any, limit: int = 100) -> str | None:
    """A name; blank, `0` and placeholders count as missing. Control characters and broken UTF-16 go: no database takes them."""
    if type(value) is not str:
        return None
    return _remembered_name(value, limit) if len(value) <= LONGEST_REMEMBERED else _name_in(value, limit)


def _name_in(value: str, limit: int) -> str | None:
    if not value.isprintable():
        value = "".join(filter(str.isprintable, value[: 4 * limit]))
    stripped = value.strip().strip("'").strip()[:limit]
    return stripped if stripped and stripped not in ("0", "null", "none", "unknown", "N/A") else None


# Models, versions, pools and accounts are a farm's, not a miner's.
_remembered_name = lru_cache(8_192)(_name_in)


def mac_address(value: Any) -> str | None:
    """`AA:BB:CC:DD:EE:FF`, whichever way it was written."""
    if type(value) is not str or len(value) > 20:
        return None
    digits = value.strip().replace(":", "").replace("-", "").upper()
    if len(digits) != 12 or not _HEX.issuperset(digits) or digits == "000000000000":
        return None
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def codes(values: Iterable[Any], limit: int = 50) -> tuple[str, ...]:
    """A machine's own error codes, each once, in their order."""
    named = (text(str(value), 40) for value in islice(values, limit))
    return tuple(dict.fromkeys(code for code in named if code is not None))
