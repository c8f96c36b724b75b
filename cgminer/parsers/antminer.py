"""Antminer: stock firmware with the old and the new API, and what is built on it (Vnish, Hiveon, MSK, asicseer, fdminer, Blackminer)."""

from __future__ import annotations

import re
from typing import Final

from cgminer import plausible
from cgminer.parsers.antminer_chains import read_new_api
from cgminer.parsers.antminer_slots import read_old_api
from cgminer.parsers.basics import read_basics
from cgminer.parsers.sections import Fields, Replies, Row, first, stats_rows, summary_row, version_row

_OTHER_BRANDS: Final = frozenset({"Blackminer", "BlackMiner", "Hammer", "Volcminer", "Elphapex"})
_VARIANT = re.compile(r"\s*\(((?:vnish|msk|hiveon|asicseer|anthill|braiins|luxos)[^)]*)\)\s*$", re.IGNORECASE)

_NEW_API_FIELDS: Final = frozenset({"rate_avg", "rate_ideal", "chain"})


def read(replies: Replies) -> Fields:
    fields = read_basics(replies)
    found = stats_rows(replies)
    header: Row = found[0] if found else {}
    main: Row = found[-1] if found else {}
    for row in found:
        if _is_main(row):
            main = row
            break
    _read_identity(replies, header, main, fields)
    if not main.keys().isdisjoint(_NEW_API_FIELDS) or "rate_avg" in summary_row(replies):
        read_new_api(replies, main, fields)
    else:
        read_old_api(header, main, fields)
    return fields


def _is_main(row: Row) -> bool:
    return "GHS 5s" in row or "miner_count" in row or "fan_num" in row or "chain_acn1" in row or "rate_avg" in row


def _read_identity(replies: Replies, header: Row, main: Row, fields: Fields) -> None:
    """Model and versions from `version`, else from the header of `stats` or the `INFO` of the new API."""
    version = version_row(replies)
    info = next((row for row in [first(reply, "INFO") for reply in replies.values() if "INFO" in reply] if row), {})
    kind = plausible.text(version.get("Type") or header.get("Type") or info.get("type") or main.get("Type"))
    miner = version.get("Miner") or header.get("Miner") or info.get("miner_version") or main.get("miner_version")
    kind, firmware = _split_variant(kind)
    number = plausible.text(miner, 50)
    named = firmware if firmware is None or any(map(str.isdigit, firmware)) else f"{firmware} {number or ''}".strip()
    fields["firmware_version"] = named or number
    fields["maker"] = _maker(kind)
    fields["model"] = kind
    if fields["compile_time"] is None:
        fields["compile_time"] = plausible.text(version.get("CompileTime") or header.get("CompileTime") or info.get("CompileTime"))


def _split_variant(kind: str | None) -> tuple[str | None, str | None]:
    """`Antminer S19 (Vnish 1.2.3)`: the machine and the firmware it runs. Other parentheses belong to the model."""
    match = _VARIANT.search(kind) if kind and "(" in kind else None
    return (kind[: match.start()], match[1][:50]) if kind and match else (kind, None)


def _maker(kind: str | None) -> str:
    """Blackminer and Hammer machines run the same program under their own name."""
    brand = (kind or "").partition(" ")[0]
    return brand if brand in _OTHER_BRANDS else "Antminer"
