"""Whatsminer (WhatsminerAPI v2.0): control commands are encrypted with a key that the administrator's password gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cgminer import wire
from cgminer.actions.conversation import Conversation
from cgminer.actions.sealing import Token, token_for
from cgminer.errors import ActionRefused, MinerAccessDenied, MinerReplyError, UnsupportedCommand

MOST_POOLS = 3


def power_off(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "power_off", respbefore="true")
    return "the boards are powered off"


def power_on(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "power_on")
    return "the boards are powered on"


def restart(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "restart_btminer")
    return "the mining program restarts"


def reboot(miner: Conversation, params: Mapping[str, Any]) -> str:
    _tell(miner, "reboot")
    return "the miner reboots"


def set_pool(miner: Conversation, params: Mapping[str, Any]) -> str:
    """`update_pools` takes the whole list: those in use until now follow as backups, with the password x, as no miner tells a password."""
    entries = pools_with(miner, params)
    count = len(entries)
    entries += [("", "", "")] * (MOST_POOLS - count)
    fields: dict[str, str] = {}
    for number, (its_url, worker, password) in enumerate(entries, start=1):
        fields |= {f"pool{number}": its_url, f"worker{number}": worker, f"passwd{number}": password}
    _tell(miner, "update_pools", **fields)
    return f"first of {count} pools now"


def pools_with(miner: Conversation, params: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Address, worker and password of the pool that is wanted, and behind it of those that the miner has."""
    url, user = str(params["pool_url"]), str(params["pool_user"])
    others = [pool for pool in miner.answer.snapshot.pools if pool.url and pool.url != url][: MOST_POOLS - 1]
    return [(url, user, str(params.get("pool_password") or "x")), *((pool.url, pool.user or "", "x") for pool in others)]


def _tell(miner: Conversation, command: str, **fields: str) -> None:
    token = _token(miner)
    request = {"cmd": command, **fields}
    reply = wire.decode(miner.tell_bytes(command, token.seal(request) if token else json.dumps(request).encode()))
    if token and isinstance(reply.get("enc"), str):
        reply = _opened(miner, token, reply["enc"])
    try:
        miner.accept(reply, command=command)
    except (MinerAccessDenied, MinerReplyError) as error:
        reason = "is the stored admin password right, and is the API switched on in WhatsMinerTool?"
        raise MinerAccessDenied(f"{error}; {reason}") from error


def _token(miner: Conversation) -> Token | None:
    """None for firmware older than tokens, which takes plain commands."""
    try:
        given = miner.tell("get_token").get("Msg")
    except UnsupportedCommand:
        return None
    if not isinstance(given, dict) or not {"time", "salt", "newsalt"} <= given.keys():
        raise MinerReplyError(f"{miner.client.address}: no token was given ({str(given)[:60]}); too many may be in use, wait half an hour")
    if not miner.password:
        raise ActionRefused(f"{miner.client.address}: Whatsminers want the admin password; store it for this site or miner.")
    return token_for(miner.password, time=str(given["time"]), salt=str(given["salt"]), newsalt=str(given["newsalt"]))


def _opened(miner: Conversation, token: Token, sealed: str) -> dict[str, Any]:
    try:
        reply = json.loads(token.open(sealed))
    except ValueError as error:
        raise MinerReplyError(f"{miner.client.address}: the encrypted answer cannot be read") from error
    return reply if isinstance(reply, dict) else {}
