"""Whatsminer API 3: control commands carry a proof of the password, and each is answered with a code."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from cgminer import frames
from cgminer.actions.conversation import Conversation
from cgminer.actions.proof import ACCOUNT, Proof
from cgminer.actions.whatsminer import pools_with
from cgminer.errors import ActionRefused, MinerAccessDenied, MinerReplyError
from cgminer.parsers.sections import message


def start(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "set.miner.service", "start")
    return "mining is resumed"


def stop(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "set.miner.service", "stop")
    return "mining is stopped"


def restart(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "set.miner.service", "restart")
    return "the mining program restarts"


def reboot(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "set.system.reboot")
    return "the miner reboots"


def set_pool(miner: Conversation, params: Mapping[str, Any]) -> str:
    """`set.miner.pools` takes the whole list, encrypted; those in use until now follow as backups, as with the older API."""
    pools = [{"pool": url, "worker": worker, "passwd": password} for url, worker, password in pools_with(miner, params)]
    _tell(miner, "set.miner.pools", pools, is_secret=True)
    return f"first of {len(pools)} pools now"


def _tell(miner: Conversation, command: str, param: Any = None, *, is_secret: bool = False) -> None:
    if not miner.password:
        raise ActionRefused(f"{miner.client.address}: Whatsminers want the API password; store it for this site or miner.")
    proof = Proof.of(command, password=miner.password, salt=_salt(miner), at=int(time.time()))
    request: dict[str, Any] = {"cmd": command, "ts": proof.at, "token": proof.token, "account": ACCOUNT}
    if param is not None:
        request["param"] = proof.seal(json.dumps(param)) if is_secret else param
    reply = frames.decode(miner.tell_bytes(command, frames.framed(request)))
    try:
        miner.accept(reply, command=command)
    except MinerAccessDenied as error:
        reason = "is the stored password that of the account “super”, and is writing switched on in WhatsMinerTool?"
        raise MinerAccessDenied(f"{error}; {reason}") from error


def _salt(miner: Conversation) -> str:
    """From the reading that was made just before."""
    salt = message(miner.answer.replies.get("get.device.info")).get("salt")
    if not isinstance(salt, str):
        raise MinerReplyError(f"{miner.client.address}: the miner tells no salt, without which no command can be proved")
    return salt
