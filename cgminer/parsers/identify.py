"""Which firmware answers, told from whatever replies are there: any one of them must do."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final

from cgminer.parsers.sections import Replies, device_rows, first, message, rows, stats_rows, summary_row, version_row
from cgminer.wire import status_of


class Firmware(StrEnum):
    ANTMINER = "antminer"
    BRAIINS = "braiins"
    LUXOS = "luxos"
    WHATSMINER = "whatsminer"
    WHATSMINER_API3 = "whatsminer api 3"
    AVALON = "avalon"
    SEALMINER = "sealminer"
    AURADINE = "auradine"
    GENERIC = "generic"


_BY_WORD: Final = (
    ("luxminer", Firmware.LUXOS),
    ("bosminer", Firmware.BRAIINS),
    ("boser", Firmware.BRAIINS),
    ("whatsminer", Firmware.WHATSMINER),
    ("btminer", Firmware.WHATSMINER),
    ("gcminer", Firmware.AURADINE),
    ("auradine", Firmware.AURADINE),
    ("fluxos", Firmware.AURADINE),
    ("sealminer", Firmware.SEALMINER),
    ("bmminer", Firmware.ANTMINER),
    ("bcfminer", Firmware.ANTMINER),
    ("antminer", Firmware.ANTMINER),
    ("avalon", Firmware.AVALON),
    ("canaan", Firmware.AVALON),
)
_KINDS: Final = ("PROD", "MODEL", "Miner")
_WHATSMINER_COMMANDS: Final = frozenset({"get_version", "get_psu", "get_miner_info", "get_error_code"})
_WHATSMINER_SUMMARY: Final = frozenset(
    {"Fan Speed In", "Fan Speed Out", "HS RT", "Factory GHS", "Upfreq Complete", "Chip Temp Max", "Hash Stable"}
)
_API3_COMMANDS: Final = frozenset({"get.device.info", "get.miner.status"})
_AURADINE_COMMANDS: Final = frozenset({"ipreport", "psu", "temperature", "fan"})
_ANTMINER_STATS: Final = frozenset(
    {"BMMiner", "chain_acn1", "miner_count", "fan_num", "temp_num", "temp_pcb1", "chain_rate1", "rate_ideal", "rate_avg"}
)
_AVALON_STATS: Final = frozenset({"MM Count", "MM ID0", "MM ID1", "MM ID2", "MM ID0:Summary"})
_SEALMINER_STATS: Final = frozenset({"MHS(Rated)", "Ctrl Board SN", "0 MHS(Sample)"})


_LONGEST_REMEMBERED: Final = 2_000


def identify(replies: Replies) -> Firmware:
    if not _API3_COMMANDS.isdisjoint(replies):
        return Firmware.WHATSMINER_API3
    return _by_words(replies) or _by_stats(replies) or _by_summary(replies) or Firmware.GENERIC


def _by_words(replies: Replies) -> Firmware | None:
    """The maker's or program's name in `version`, in the `Description` of any status, or in the header of `stats`."""
    version = version_row(replies)
    words = [*version, str(version.get("Type", ""))]
    for reply in replies.values():
        words.append(str(status_of(reply).get("Description", "")))
        if "INFO" in reply:
            words.append(str(first(reply, "INFO").get("type", "")))
    words += [str(row.get("Type", "")) for row in stats_rows(replies)[:1]]
    words += [str(version[name]) for name in _KINDS if name in version]
    spoken = tuple(words)
    return _remembered_firmware(spoken) if sum(map(len, spoken)) <= _LONGEST_REMEMBERED else _firmware_in(spoken)


def _firmware_in(words: tuple[str, ...]) -> Firmware | None:
    text = " ".join(words).lower()
    return next((firmware for word, firmware in _BY_WORD if word in text), None)


# A farm's miners of one firmware all say the same; what is longer is said by none of them, and would fill the memory.
_remembered_firmware = lru_cache(1_024)(_firmware_in)


def _by_stats(replies: Replies) -> Firmware | None:
    for row in stats_rows(replies):
        if not row.keys().isdisjoint(_ANTMINER_STATS):
            return Firmware.ANTMINER
        if not row.keys().isdisjoint(_SEALMINER_STATS):
            return Firmware.SEALMINER
        if not row.keys().isdisjoint(_AVALON_STATS) or str(row.get("ID", "")).startswith("AV"):
            return Firmware.AVALON
        if str(row.get("ID", "")).startswith("SM") and "slot" in row:
            return Firmware.WHATSMINER
    return Firmware.AVALON if rows(replies.get("lcd"), "LCD") or _has_avalon_device(replies) else None


def _has_avalon_device(replies: Replies) -> bool:
    return any(str(row.get("Name", "")).upper().startswith("AVA") for row in device_rows(replies))


def _by_summary(replies: Replies) -> Firmware | None:
    summary, devices = summary_row(replies), device_rows(replies)
    if not replies.keys().isdisjoint(_WHATSMINER_COMMANDS) or not summary.keys().isdisjoint(_WHATSMINER_SUMMARY):
        return Firmware.WHATSMINER
    if any("Upfreq Complete" in row or "Effective Chips" in row or row.get("Name") == "SM" for row in devices):
        return Firmware.WHATSMINER
    if "ThsThrottle" in summary or not replies.keys().isdisjoint(_AURADINE_COMMANDS):
        return Firmware.AURADINE
    return Firmware.WHATSMINER if _answers_like_btminer(replies) else None


def _answers_like_btminer(replies: Replies) -> bool:
    """btminer's status has neither time nor code nor description (`[{"STATUS":"S","Msg":"Summary"}]`), or its message is an object."""
    if "mineroff" in message(replies.get("status")) or "btmineroff" in message(replies.get("status")):
        return True
    reply = replies.get("summary", {})
    status = status_of(reply)
    bare = status is not reply and status.get("Msg") == "Summary" and not {"When", "Code", "Description"} & status.keys()
    return bare or (bool(message(reply)) and "SUMMARY" not in reply)
