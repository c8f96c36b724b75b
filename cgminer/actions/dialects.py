"""Which firmware can carry out what over its API.

Sources: cgminer's API-README (restart, addpool, switchpool, save); Braiins "BOSminer API" (pause, resume, addpool, switchpool, which a
restart forgets; no restart over this API); LuxOS API documentation (session, curtail, resetminer, rebootdevice, fanset, frequencyset);
WhatsminerAPI v2.0; MicroBT's API 3 document; Canaan's `ascset` options. What is not documented there is left out rather than tried on
somebody's farm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from cgminer.parsers.identify import Firmware, identify
from cgminer.reading import Answer


class Dialect(StrEnum):
    CGMINER = "stock CGMiner"
    ANTMINER = "stock Antminer firmware"
    VNISH = "Vnish"
    BRAIINS = "Braiins OS"
    LUXOS = "LuxOS"
    WHATSMINER = "Whatsminer firmware"
    WHATSMINER_API3 = "Whatsminer firmware (API 3)"
    AVALON = "Avalon firmware"
    SEALMINER = "Sealminer firmware"
    AURADINE = "Auradine firmware"


_STOCK: Final = frozenset({"restart", "set_pool"})
_SUPPORTED: Final[Mapping[Dialect, frozenset[str]]] = {
    Dialect.CGMINER: _STOCK,
    Dialect.ANTMINER: _STOCK,
    Dialect.VNISH: _STOCK,
    Dialect.BRAIINS: frozenset({"enable", "disable", "set_pool"}),
    Dialect.LUXOS: frozenset({"enable", "disable", "restart", "reboot", "set_pool", "set_fan", "set_frequency"}),
    Dialect.WHATSMINER: frozenset({"enable", "disable", "restart", "reboot", "set_pool"}),
    Dialect.WHATSMINER_API3: frozenset({"enable", "disable", "restart", "reboot", "set_pool"}),
    Dialect.AVALON: frozenset({"enable", "disable", "reboot", "set_pool", "set_fan"}),
    Dialect.SEALMINER: frozenset(),
    Dialect.AURADINE: frozenset(),
}
_BY_FIRMWARE: Final = {
    Firmware.ANTMINER: Dialect.ANTMINER,
    Firmware.BRAIINS: Dialect.BRAIINS,
    Firmware.LUXOS: Dialect.LUXOS,
    Firmware.WHATSMINER: Dialect.WHATSMINER,
    Firmware.WHATSMINER_API3: Dialect.WHATSMINER_API3,
    Firmware.AVALON: Dialect.AVALON,
    Firmware.SEALMINER: Dialect.SEALMINER,
    Firmware.AURADINE: Dialect.AURADINE,
    Firmware.GENERIC: Dialect.CGMINER,
}
LOWEST_AVALON_FAN: Final = 15
"""Per cent; Avalon firmware refuses less."""

_LUXOS_VERSION: Final = re.compile(r"20\d\d\.\d{1,2}\.\d{1,2}\.\d{6}")
_WORDS: Final = (
    ("vnish", Dialect.VNISH),
    ("luxos", Dialect.LUXOS),
    ("luxminer", Dialect.LUXOS),
    ("bosminer", Dialect.BRAIINS),
    ("boser", Dialect.BRAIINS),
    ("braiins", Dialect.BRAIINS),
    ("whatsminer", Dialect.WHATSMINER),
    ("avalon", Dialect.AVALON),
    ("sealminer", Dialect.SEALMINER),
    ("auradine", Dialect.AURADINE),
    ("teraflux", Dialect.AURADINE),
    ("antminer", Dialect.ANTMINER),
)


def supported(dialect: Dialect) -> frozenset[str]:
    """The command types that this firmware carries out."""
    return _SUPPORTED[dialect]


def why_not(dialect: Dialect, command: str, params: Mapping[str, Any]) -> str | None:
    """Why this firmware cannot do it, in words for a person; None when it can."""
    if command not in supported(dialect):
        known = ", ".join(sorted(supported(dialect)))
        return f"{dialect} cannot do {command} over its API" + (f"; it can do {known}" if known else "")
    if dialect is Dialect.AVALON and command == "set_fan" and float(params.get("speed", 100)) < LOWEST_AVALON_FAN:
        return f"{dialect} takes fan speeds from {LOWEST_AVALON_FAN} to 100 %"
    if dialect in (Dialect.WHATSMINER, Dialect.WHATSMINER_API3) and command == "set_pool" and params.get("pool_id") is not None:
        return f"{dialect} cannot switch to a configured pool by its number; give the pool's address"
    return None


def dialect_of_answer(answer: Answer) -> Dialect:
    """Told from what the miner itself just answered."""
    if "vnish" in (answer.snapshot.firmware_version or "").lower():
        return Dialect.VNISH
    return _BY_FIRMWARE[identify(answer.replies)]


def dialect_of_report(*, model: str | None, firmware_version: str | None) -> Dialect | None:
    """Told from what is stored of a miner: the model it reported and its firmware's version. None when that does not tell.

    An Antminer without a version may run anything; a model of another maker runs its maker's firmware.
    """
    version = (firmware_version or "").lower()
    if _LUXOS_VERSION.match(version):
        return Dialect.LUXOS
    by_version = next((dialect for word, dialect in _WORDS if word in version), None)
    if by_version:
        return by_version
    by_model = next((dialect for word, dialect in _WORDS if word in (model or "").lower()), None)
    return None if by_model is Dialect.ANTMINER and not version else by_model
