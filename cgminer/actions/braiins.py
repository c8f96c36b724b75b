"""Braiins OS (BOSminer API): mining is paused and resumed without a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgminer.actions.conversation import Conversation


def pause(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("pause")
    return "mining is paused"


def resume(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("resume")
    return "mining is resumed"
