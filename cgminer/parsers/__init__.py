"""From a miner's replies to a Snapshot.

`parse_snapshot` takes the replies that are there, finds out which firmware gave them and reads all it can; what was not reported is None.
A new firmware is a module with `read(replies) -> fields`, a line in `identify` and a line in `_READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cgminer.errors import MinerReplyError
from cgminer.parsers import antminer, auradine, avalon, braiins, generic, luxos, sealminer, whatsminer, whatsminer3
from cgminer.parsers.basics import finish
from cgminer.parsers.identify import Firmware, identify
from cgminer.parsers.sections import Fields, Replies
from cgminer.snapshot import Snapshot
from cgminer.wire import replies as split
from cgminer.wire import status_of

__all__ = ["Firmware", "identify", "parse_snapshot", "wanted_commands"]

_READERS: Final[dict[Firmware, Callable[[Replies], Fields]]] = {
    Firmware.ANTMINER: antminer.read,
    Firmware.BRAIINS: braiins.read,
    Firmware.LUXOS: luxos.read,
    Firmware.WHATSMINER: whatsminer.read,
    Firmware.WHATSMINER_API3: whatsminer3.read,
    Firmware.AVALON: avalon.read,
    Firmware.SEALMINER: sealminer.read,
    Firmware.AURADINE: auradine.read,
    Firmware.GENERIC: generic.read,
}
_BASIC_COMMANDS: Final = ("summary", "stats", "pools", "version")
_FURTHER_COMMANDS: Final[dict[Firmware, tuple[str, ...]]] = {
    Firmware.ANTMINER: (),
    Firmware.BRAIINS: ("devs", "devdetails", "temps", "fans", "tunerstatus"),
    Firmware.LUXOS: ("devs", "temps", "fans", "power", "config", "profiles"),
    Firmware.WHATSMINER: ("edevs", "devdetails", "status", "get_version", "get_psu", "get_miner_info", "get_error_code"),
    Firmware.WHATSMINER_API3: (),
    Firmware.AVALON: (),
    Firmware.SEALMINER: (),
    Firmware.AURADINE: ("devs", "fan", "psu", "temperature", "frequency", "mode", "led", "ipreport", "asccount"),
    Firmware.GENERIC: ("devs",),
}
_UNKNOWN_TO: Final[dict[Firmware, frozenset[str]]] = {
    Firmware.WHATSMINER: frozenset({"stats", "version"}),
    Firmware.WHATSMINER_API3: frozenset(_BASIC_COMMANDS),
    Firmware.BRAIINS: frozenset({"stats"}),
}
_USEFUL_COMMANDS: Final = {
    firmware: tuple(command for command in (*_BASIC_COMMANDS, *further) if command not in _UNKNOWN_TO.get(firmware, ()))
    for firmware, further in _FURTHER_COMMANDS.items()
}
_CGMINER_SECTIONS: Final = ("SUMMARY", "STATS", "POOLS", "VERSION", "DEVS", "DEVDETAILS", "COIN", "CONFIG", "LCD", "INFO", "Msg")
_BRAIINS_SECTIONS: Final = ("FANS", "TEMPS", "TEMPCTRL", "FANCTRL", "TUNERSTATUS", "POWER", "PROFILES")
_AURADINE_SECTIONS: Final = ("Fan", "PSU", "Temperature", "Frequency", "Voltage", "Mode", "LED", "IPReport", "ASCCount")
_MINER_SECTIONS: Final = frozenset(_CGMINER_SECTIONS + _BRAIINS_SECTIONS + _AURADINE_SECTIONS)
_API3_SECTIONS: Final = ("miner", "system", "summary", "edevs", "pools")


def parse_snapshot(
    replies: Mapping[str, Mapping[str, Any]], *, firmware: Firmware | None = None, latency_ms: float | None = None
) -> Snapshot:
    """Everything the replies tell of the miner; `firmware` when they were identified before.

    Raises MinerReplyError when nothing in them comes from a miner.
    """
    known = _by_command(replies)
    for reply in known.values():
        if _says_something(reply):
            return finish(_READERS[firmware or identify(known)](known), latency_ms=latency_ms)
    raise MinerReplyError(_why_nothing(known))


def _by_command(replies: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Replies that are objects, joined ones taken apart."""
    known: dict[str, Mapping[str, Any]] = {}
    for command, reply in replies.items():
        if type(reply) is not dict:
            continue
        if "+" in command:
            known.update(split(reply, command))
        else:
            known[command] = reply
    return known


def _why_nothing(known: Replies) -> str:
    statuses = [status for reply in known.values() if "STATUS" in (status := status_of(reply))]
    refusals = [str(status.get("Msg"))[:100] for status in statuses if status["STATUS"] in ("E", "F")]
    if refusals:
        return f"the miner answers with errors only ({refusals[0]}): its mining program may be starting or stopped"
    if statuses:
        return "the miner answers, but the part of its reply with the readings is missing: it was cut short, or mining is just starting"
    return "nothing in the reply is from a miner: is another device at this address?"


def _says_something(reply: Mapping[str, Any]) -> bool:
    if type(reply.get("msg")) is dict and "code" in reply:
        return any(reply["msg"].get(name) and isinstance(reply["msg"][name], dict | list) for name in _API3_SECTIONS)
    return any(value and isinstance(value, dict | list) for name, value in reply.items() if name in _MINER_SECTIONS)


def wanted_commands(replies: Mapping[str, Mapping[str, Any]], *, firmware: Firmware | None = None) -> tuple[str, ...]:
    """Read commands still worth asking for a full reading, after a first answer. Privileged and heavy ones are never among them."""
    known = _by_command(replies)
    useful = _USEFUL_COMMANDS[firmware or identify(known)]
    missing = [command for command in useful if command not in known]
    if missing and ("devs" in known or "edevs" in known):
        missing = [command for command in missing if command not in ("devs", "edevs")]
    return tuple(missing)
