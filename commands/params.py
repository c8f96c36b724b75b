"""What each command type takes, checked before a command is stored."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from commands.models import CommandType
from miners.models import MinerModel

POOL_SCHEMES = ("stratum+tcp", "stratum+ssl", "stratum+tls", "stratum2+tcp", "stratum2+ssl")
_POOL_URL = re.compile(r"^(?P<scheme>[a-z0-9+]+)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d{1,5}))?(/[\x21-\x7e]*)?$")
MAX_FREQUENCY_MHZ = 10_000


class InvalidCommand(Exception):
    """A command that must not be stored. `field` names the parameter, the message says what is wanted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def checked(command: str, params: Mapping[str, Any], *, model: MinerModel | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of `command`, normalised: those that may be shown, and those that are secret. Raises InvalidCommand."""
    if command not in CommandType.values:
        raise InvalidCommand("command", f"Unknown command “{command}”. Known: {', '.join(CommandType.values)}.")
    taken = _TAKES.get(command, ())
    unknown = sorted(set(params) - set(taken))
    if unknown:
        wanted = f"It takes {', '.join(taken)}." if taken else "It takes none."
        raise InvalidCommand(unknown[0], f"{command} has no parameter “{unknown[0]}”. {wanted}")
    if command == CommandType.SET_POOL:
        return _pool(params)
    if command == CommandType.SET_FAN:
        return {"speed": _number("speed", params, low=0, high=100, unit="%")}, {}
    if command == CommandType.SET_FREQUENCY:
        low = (model.frequency_min if model else None) or 1
        high = (model.frequency_max if model else None) or MAX_FREQUENCY_MHZ
        return {"frequency": _number("frequency", params, low=low, high=high, unit=" MHz")}, {}
    return {}, {}


_TAKES: dict[str, tuple[str, ...]] = {
    CommandType.SET_POOL: ("pool_id", "pool_url", "pool_user", "pool_password"),
    CommandType.SET_FAN: ("speed",),
    CommandType.SET_FREQUENCY: ("frequency",),
}


def _pool(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if params.get("pool_id") is not None:
        if params.get("pool_url"):
            raise InvalidCommand("pool_id", "Give pool_id to switch to a configured pool, or pool_url for another one, not both.")
        return {"pool_id": int(_number("pool_id", params, low=0, high=99, unit=""))}, {}
    url = _text("pool_url", params, longest=255)
    match = _POOL_URL.match(url)
    if not match or match["scheme"] not in POOL_SCHEMES or not 0 < int(match["port"] or 1) < 65_536:
        raise InvalidCommand("pool_url", f"“{url}” is not a pool address: write scheme://host:port with one of {', '.join(POOL_SCHEMES)}.")
    user = _text("pool_user", params, longest=100)
    password = _text("pool_password", params, longest=100) if params.get("pool_password") else "x"
    return {"pool_url": url, "pool_user": user}, {"pool_password": password}


def _text(field: str, params: Mapping[str, Any], *, longest: int) -> str:
    value = params.get(field)
    if not isinstance(value, str) or not value.strip():
        raise InvalidCommand(field, f"{field} is missing.")
    value = value.strip()
    if len(value) > longest or not value.isprintable():
        raise InvalidCommand(field, f"{field} must be at most {longest} printable characters.")
    return value


def _number(field: str, params: Mapping[str, Any], *, low: float, high: float, unit: str) -> float:
    value = params.get(field)
    try:
        number = float(value)  # type: ignore[arg-type]  # None and the rest raise TypeError, answered below
    except (TypeError, ValueError):
        raise InvalidCommand(field, f"{field} must be a number from {low:g} to {high:g}{unit}.") from None
    if isinstance(value, bool) or not math.isfinite(number) or not low <= number <= high:
        raise InvalidCommand(field, f"{field} must be from {low:g} to {high:g}{unit}, not {value}.")
    return int(number) if number.is_integer() else number
