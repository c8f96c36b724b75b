"""CGMiner's own control commands (API-README): what stock Antminer firmware, Vnish, LuxOS, Braiins OS and Avalon took over from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgminer.actions.conversation import Conversation
from cgminer.errors import MinerError, MinerReplyError
from cgminer.parsers.pools import read_pools


def restart(miner: Conversation, params: Mapping[str, Any]) -> str:
    miner.tell("restart")
    return "the mining program restarts"


def set_pool(miner: Conversation, params: Mapping[str, Any]) -> str:
    """Switch to `pool_id`, or add the pool and switch to it: `addpool` alone leaves the old pool in use."""
    if params.get("pool_id") is not None:
        miner.tell("switchpool", str(params["pool_id"]))
        return f"pool {params['pool_id']} is first now"
    url = str(params["pool_url"])
    parts = (url, str(params["pool_user"]), str(params.get("pool_password") or "x"))
    miner.tell("addpool", ",".join(map(escaped, parts)))
    number = _number_of(miner, url)
    miner.tell("switchpool", str(number))
    return f"added as pool {number} and first now; the miner forgets it at its next restart"


def set_pool_and_save(miner: Conversation, params: Mapping[str, Any]) -> str:
    """The same, written to the configuration file. Antminers are not told to save: their file holds settings that cgminer does not know."""
    message = set_pool(miner, params)
    try:
        miner.tell("save")
    except MinerError as error:
        return f"{message} (it was not saved: {error})"
    return f"{message.partition(';')[0]}; saved"


def escaped(part: str) -> str:
    """A part of a comma-separated parameter: cgminer takes a comma or backslash literally after a backslash."""
    return part.replace("\\", "\\\\").replace(",", "\\,")


def _number_of(miner: Conversation, url: str) -> int:
    """The number the miner gave to the pool it added last."""
    numbers = [pool.id for pool in read_pools({"pools": miner.tell("pools")}) if pool.url == url]
    if not numbers:
        raise MinerReplyError(f"{miner.client.address}: the pool was added, but the miner does not list it; it still mines where it did")
    return max(numbers)
