"""Repairs of replies that are not JSON, one named function a quirk.

They run only after plain JSON was refused, in the order of `REPAIRS`, each on top of the one before. A repair that has nothing to mend
returns its text as it came. Every pattern steps over whole strings first, so that a brace inside a value is never taken for structure, and
none backtracks: a megabyte of garbage costs milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Repair = Callable[[str], str]

_STRING = r'"(?:[^"\\]++|\\.)*+"?+'
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MISSING_COMMA = re.compile(rf'({_STRING}(?=\s*"))|({_STRING})|([}}\]](?=\s*[{{\["]))', re.DOTALL)
_STRAY_COMMA = re.compile(rf"({_STRING})|([\[{{,])\s*,(?=\s*[^,\s])|,(?=\s*[}}\]])", re.DOTALL)
_NOT_A_NUMBER = re.compile(rf"({_STRING})|[-+]?\b(?:nan(?:\(\w*\))?|inf(?:inity)?)\b|[-+]?1\.#\w+", re.DOTALL | re.IGNORECASE)
_PAIRS_IN_A_LIST = re.compile(r'\[(\s*+(?:"[^"\\]*+"\s*+:\s*+"[^"\\]*+"\s*+,?+\s*+)++)\]')
_MARK = re.compile(rf"{_STRING}|[{{}}\[\],]", re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}
MAX_REPAIRED_CHARS = 65_536
"""A firmware's send buffer is 64 KiB or less: a longer text that is not JSON is not worth the time it takes."""


def missing_head(text: str) -> str:
    """`,"id":1}`: the firmware sent only the end of its reply (Avalon)."""
    return "{" + text[1:] if text.startswith(",") else text


def invalid_escapes(text: str) -> str:
    r"""`\'` and other escapes that JSON does not have (Avalon, Whatsminer pool users)."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: match[0] if match[1] in '"\\/bfnrtu' else match[1], text)


def missing_commas(text: str) -> str:
    """`}{` between objects (nearly every Antminer before 2020) and `"83""temp0"` between members (Whatsminer)."""
    return _MISSING_COMMA.sub(lambda match: match[0] if match[2] else match[0] + ",", text)


def stray_commas(text: str) -> str:
    """`[,{` (Antminer) and `,}`."""
    return _STRAY_COMMA.sub(lambda match: match[1] or match[2] or "", text)


def not_a_number_tokens(text: str) -> str:
    """Bare `nan`, `-nan`, `inf`, `1.#QNAN`, as C prints them: the value is missing, so null (Avalon)."""
    return _NOT_A_NUMBER.sub(lambda match: match[1] or "null", text)


def list_written_like_a_dict(text: str) -> str:
    """`"error_code":["329":"2022-01-17 11:28:11"]`: pairs inside a list become one object in it (Whatsminer API 2.0.4)."""
    return _PAIRS_IN_A_LIST.sub(lambda match: "[{" + match[1].rstrip().rstrip(",") + "}]", text)


def truncated_tail(text: str) -> str:
    """A reply cut by the firmware's own buffer: keep what is whole, drop the last unfinished value, close what is open."""
    open_brackets: list[str] = []
    cut, opened_since_cut = 0, 0
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark in "{[":
            open_brackets.append(_CLOSERS[mark])
            opened_since_cut += 1
        elif mark == "," or mark in "}]":
            if mark != ",":
                if not open_brackets or open_brackets.pop() != mark:
                    return text
                if not open_brackets:
                    return text
            cut = match.start() if mark == "," else match.end()
            opened_since_cut = 0
    if not cut:
        return text
    still_open = open_brackets[: len(open_brackets) - opened_since_cut]
    return text[:cut] + "".join(reversed(still_open))


REPAIRS: tuple[Repair, ...] = (
    missing_head,
    invalid_escapes,
    missing_commas,
    stray_commas,
    not_a_number_tokens,
    list_written_like_a_dict,
    truncated_tail,
)
