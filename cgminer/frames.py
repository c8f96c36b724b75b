"""Whatsminer's API 3 on the wire (TCP 4433): each request and reply is a length, four bytes little endian, and so much JSON.

Nothing here touches a socket. Facts of the protocol, from MicroBT's API 3 document (apidoc.whatsminer.com): `{"cmd": …, "param": …}` is
answered by `{"code": 0, "when": …, "msg": …, "desc": …}`, a code below 0 being a refusal; a length of 0 is a heartbeat; reading takes no
password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cgminer import wire
from cgminer.errors import MinerAccessDenied, MinerReplyError, UnsupportedCommand

READS: Final = frozenset({"get.device.info", "get.miner.status", "get.miner.setting"})
CONTROLS: Final = frozenset({"set.miner.service", "set.miner.pools", "set.system.reboot"})
_PREFIX: Final = 4
_MOST_HEARTBEATS: Final = 16
_UNKNOWN_COMMAND, _NO_PERMISSION = -2, -4


def encode(command: str, parameter: str | None = None) -> bytes:
    """One read request; its parameter may also stand behind the command, after a blank. Raises ValueError for a command not listed."""
    name, _, behind = command.partition(" ")
    if name not in READS:
        raise ValueError(f"{command!r} is not a known read command of Whatsminer's API 3")
    param = parameter if parameter is not None else behind
    return framed({"cmd": name, "param": param} if param else {"cmd": name})


def framed(request: Mapping[str, Any]) -> bytes:
    """The bytes to send for any request. Raises ValueError for one that is longer than a miner takes."""
    frame = framed_text(json.dumps(request, separators=(",", ":")))
    if len(frame) > wire.MAX_REQUEST_BYTES:
        raise ValueError(f"the request is {len(frame)} bytes; a miner reads at most {wire.MAX_REQUEST_BYTES}")
    return frame


def framed_text(text: str) -> bytes:
    body = text.encode()
    return len(body).to_bytes(_PREFIX, "little") + body


def is_complete(buffer: bytes | bytearray) -> bool:
    """Whether a reader can stop: the reply is whole, or nothing that follows can make it one."""
    start, length = _body(buffer)
    return length > wire.MAX_REPLY_BYTES or start > _PREFIX * _MOST_HEARTBEATS or 0 < length <= len(buffer) - start


def decode(raw: bytes) -> dict[str, Any]:
    """The JSON object of a reply. Raises MinerReplyError when there is none, MinerAccessDenied when nothing came."""
    if not raw:
        raise MinerAccessDenied("the miner closed without an answer: too many may be connected to it")
    start, length = _body(raw)
    if not 0 < length <= wire.MAX_REPLY_BYTES:
        raise MinerReplyError(f"the answer begins {raw[:20]!r} and not with a length: this is not Whatsminer's API 3")
    if length > len(raw) - start:
        raise MinerReplyError(f"the reply was cut short: {len(raw) - start} bytes of {length}")
    return wire.decode(raw[start : start + length])


def raise_for_code(reply: Mapping[str, Any], *, command: str) -> None:
    """Raises what a code other than 0 means."""
    code = reply.get("code")
    if type(code) is int and code == 0:
        return
    reason = str(reply.get("msg", ""))[:200]
    if code == _UNKNOWN_COMMAND:
        raise UnsupportedCommand(f"{command!r} is not supported by this firmware ({reason or 'code -2'})")
    if code == _NO_PERMISSION:
        raise MinerAccessDenied(f"the miner refuses {command!r} ({reason or 'no permission'})")
    raise MinerReplyError(f"the miner answers {command!r} with an error: {reason or 'no reason given'} (code {str(code)[:20]})")


def _body(buffer: bytes | bytearray) -> tuple[int, int]:
    """Where the first body begins, behind its length and any heartbeats, and that length; 0 when it is not there yet."""
    start, length = 0, 0
    while not length and len(buffer) - start >= _PREFIX and start <= _PREFIX * _MOST_HEARTBEATS:
        length = int.from_bytes(buffer[start : start + _PREFIX], "little")
        start += _PREFIX
    return start, length
