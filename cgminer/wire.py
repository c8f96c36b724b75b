"""The CGMiner API on the wire (TCP 4028): requests out, replies in.

Nothing here touches a socket. Facts of the protocol: one request a connection, read by the miner in one go of at most 4,095 bytes; a reply
is one JSON object, usually ended by a NUL; several read commands joined with `+` come back as one object keyed by command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from cgminer.commands import CONTROL_COMMANDS, READ_COMMANDS
from cgminer.errors import MinerAccessDenied, MinerError, MinerReplyError, UnsupportedCommand
from cgminer.repairs import MAX_REPAIRED_CHARS, REPAIRS

__all__ = ["CONTROL_COMMANDS", "READ_COMMANDS", "REPAIRS", "decode", "encode", "is_complete", "raise_for_status", "replies"]

MAX_REQUEST_BYTES: Final = 4095
MAX_REPLY_BYTES: Final = 1_000_000
_NESTED_TEXT_LEVELS: Final = 3
_MOST_COMMAS: Final = 4
_BLANK: Final = b" \r\n\t\x00"

_SECTION_COMMANDS: Final = {"SUMMARY": "summary", "STATS": "stats", "POOLS": "pools", "VERSION": "version", "DEVS": "devs", "COIN": "coin"}
_ACCESS_CODES: Final = frozenset({45, 135, 136})
_UNKNOWN_COMMAND_CODES: Final = frozenset({14, 83})
_NOTHING_THERE_CODES: Final = frozenset({8, 10})
"""`pools` without pools and `devs` without devices answer E: an empty list, not a failure."""


def _no_constant(_: str) -> None:
    return None


_LENIENT: Final = json.JSONDecoder(strict=False, parse_constant=_no_constant)


def _strict_with_standard_library(raw: bytes | bytearray) -> Any:
    return json.loads(raw, parse_constant=_no_constant)


def _strict_parser() -> Callable[[bytes | bytearray], Any]:
    try:
        import orjson
    except ImportError:
        return _strict_with_standard_library
    return orjson.loads


_strict: Final = _strict_parser()
_TEXT_IN_QUOTES: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def encode(command: str, parameter: str | None = None) -> bytes:
    """One request, ready for one `send`. Raises ValueError for a command that is not listed or a join that holds a privileged one."""
    parts = command.split("+")
    if len(parts) > 1:
        if parameter is not None or not READ_COMMANDS.issuperset(parts):
            raise ValueError(f"{command!r} cannot be joined: only read commands without a parameter can")
    elif command not in READ_COMMANDS and command not in CONTROL_COMMANDS:
        raise ValueError(f"{command!r} is not a known command of the CGMiner API")
    request = {"command": command} if parameter is None else {"command": command, "parameter": parameter}
    encoded = json.dumps(request, separators=(",", ":")).encode()
    if len(encoded) > MAX_REQUEST_BYTES:
        raise ValueError(f"the request for {command!r} is {len(encoded)} bytes; a miner reads at most {MAX_REQUEST_BYTES}")
    return encoded


def decode(raw: bytes) -> dict[str, Any]:
    """The JSON object of a reply. Raises MinerReplyError when no repair makes it one, MinerAccessDenied when it is empty."""
    if len(raw) > MAX_REPLY_BYTES:
        raise MinerReplyError(f"the reply is longer than {MAX_REPLY_BYTES:,} bytes: this is probably not a miner")
    body = raw.strip(_BLANK)
    if not body:
        raise MinerAccessDenied("the miner closed without an answer: allow this address in its API settings")
    try:
        document = _with_commas(body)
    except (ValueError, RecursionError):
        document = _repaired(body.decode("utf-8", "replace").lstrip("\ufeff"))
    if not isinstance(document, dict):
        raise MinerReplyError(f"the reply is a JSON {type(document).__name__}, not an object: this is probably not a miner")
    return document


def _with_commas(body: bytes) -> Any:
    """Most Antminers before 2020 leave out the comma of `}{`: put in where the parser stops, it costs a tenth of the general repair."""
    for _ in range(_MOST_COMMAS):
        try:
            return _strict(body)
        except ValueError as error:
            at: int = getattr(error, "pos", 0)
            if body[at - 1 : at + 1] != b"}{":
                raise
            body = body[:at] + b"," + body[at:]
    return _strict(body)


def _repaired(text: str) -> Any:
    if not text.startswith(("{", ",", "[")):
        raise MinerReplyError(f"the answer is not JSON: {text[:60]!r}")
    if len(text) > MAX_REPAIRED_CHARS:
        raise MinerReplyError(f"the reply is not JSON and too long to repair ({len(text):,} characters)")
    document, begun = _begun(text)
    for repair in REPAIRS:
        if begun:
            return document
        mended = repair(text)
        if mended != text:
            text = mended
            document, begun = _begun(text)
    if begun:
        return document
    raise MinerReplyError(f"the reply is broken beyond repair; it begins {text[:60]!r}")


def _begun(text: str) -> tuple[Any, bool]:
    """The document at the start and whether there is one: what follows it is garbage that firmware leaves in its buffer."""
    try:
        return _LENIENT.raw_decode(text)[0], True
    except (ValueError, RecursionError):
        return None, False


def is_complete(buffer: bytes | bytearray) -> bool:
    """Whether a reader can stop: a NUL ends the reply, or a whole JSON object is there. Cheap enough after every recv."""
    if not buffer:
        return False
    if buffer[-1] == 0:
        return True
    tail = bytes(buffer[-16:]).rstrip(_BLANK)
    if not tail.endswith(b"}"):
        return False
    try:
        _strict(buffer)
        return True
    except (ValueError, RecursionError):
        return _closes(buffer)


def _closes(buffer: bytes | bytearray) -> bool:
    """A broken document is over when its brackets balance; counted without strings only when they balance with them."""
    if buffer.count(b"{") != buffer.count(b"}") or buffer.count(b"[") != buffer.count(b"]"):
        return False
    bare = _TEXT_IN_QUOTES.sub(b"", buffer)
    return b'"' not in bare and bare.count(b"{") == bare.count(b"}") and bare.count(b"[") == bare.count(b"]")


def replies(document: dict[str, Any], command: str) -> dict[str, dict[str, Any]]:
    """The replies in a document by command. A join that was answered as a whole (an error) stays under its joined name."""
    parts = command.split("+")
    if len(parts) == 1 and command not in document:
        return {command: document}
    found = {}
    for part in parts:
        reply = document.get(part)
        reply = reply[0] if type(reply) is list and len(reply) == 1 and type(reply[0]) is dict else _unwrapped(reply)
        if reply is not None:
            found[part] = reply
    if found:
        return found
    for section, single in _SECTION_COMMANDS.items():
        if section in document and single in parts:
            return {single: document}
    return {command: document}


def _unwrapped(value: Any) -> dict[str, Any] | None:
    """A joined reply comes as a list of one; some relays hand it on as text, encoded once or twice more."""
    for _ in range(_NESTED_TEXT_LEVELS):
        if isinstance(value, list):
            value = value[0] if value else None
        if not isinstance(value, str):
            break
        try:
            value = _strict(value.encode())
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def raise_for_status(reply: Mapping[str, Any], *, command: str) -> None:
    """Raises what an E or F status means. `S`, `I`, `W` and the bare words of control commands (`RESTART`, `BYE`) pass."""
    status = status_of(reply)
    letter = status.get("STATUS")
    if letter == "S":
        return
    code = _code(status)
    if letter in ("E", "F") or (letter is None and code is not None and code < 0):
        message = status.get("Msg", status.get("msg", ""))
        if not (code in _NOTHING_THERE_CODES and command in ("devs", "edevs", "devdetails", "pools")):
            raise _failure(str(message)[:200], code, command)


def status_of(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status object of a reply, whatever its shape: first of a list, an object, or the reply itself when it is a bare word."""
    status = reply.get("STATUS")
    if type(status) is list:
        status = status[0] if status else None
    return status if type(status) is dict else reply


def _code(status: Mapping[str, Any]) -> int | None:
    code = status.get("Code", status.get("code"))
    try:
        return int(code) if code is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def _failure(message: str, code: int | None, command: str) -> MinerError:
    words = message.lower()
    if code in _ACCESS_CODES or "access denied" in words or "permission" in words:
        return MinerAccessDenied(f"the miner refuses {command!r} ({message}): allow this address in its API settings")
    # A firmware that cannot join says so in its own way: no command, invalid JSON, command error.
    if code in _UNKNOWN_COMMAND_CODES or "invalid c" in words or "+" in command:
        return UnsupportedCommand(f"{command!r} is not supported by this firmware ({message or f'code {code}'})")
    return MinerReplyError(f"the miner answers {command!r} with an error: {message or 'no reason given'} (code {code})")
