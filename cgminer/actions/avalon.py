"""Avalon (Canaan): everything beyond CGMiner goes through `ascset` with device 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgminer.actions.conversation import Conversation
from cgminer.errors import MinerReplyError
from cgminer.wire import status_of

SOON_S = 5
"""The firmware switches at a moment of its own clock; one that has passed already is ignored."""


def sleep(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("ascset", f"0,softoff,1:{_clock(miner) + SOON_S}")
    return f"the miner sleeps in {SOON_S} s"


def wake_up(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("ascset", f"0,softon,1:{_clock(miner) + SOON_S}")
    return f"the miner wakes up in {SOON_S} s"


def reboot(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("ascset", "0,reboot,0")
    return "the miner reboots"


def set_fan(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("ascset", f"0,fan-spd,{params['speed']:g}")
    return f"fans are fixed at {params['speed']:g} %"


def _clock(miner: Conversation) -> int:
    """The miner's own time, Unix seconds: it need not be right."""
    when = status_of(miner.tell("version")).get("When")
    if not isinstance(when, int):
        raise MinerReplyError(f"{miner.client.address}: the miner does not tell its time, without which it cannot be put to sleep")
    return when
