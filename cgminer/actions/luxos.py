"""LuxOS: what changes the machine takes a session id, of which the miner gives out one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from cgminer.actions.conversation import Conversation
from cgminer.errors import MinerError, MinerReplyError
from cgminer.parsers.sections import device_rows, first


def sleep(miner: Conversation, params: Mapping[str, Any]) -> str:
    with _session(miner) as tell:
        tell("curtail", "sleep")
    return "the miner sleeps"


def wake_up(miner: Conversation, params: Mapping[str, Any]) -> str:
    with _session(miner) as tell:
        tell("curtail", "wakeup")
    return "the miner wakes up"


def restart(miner: Conversation, params: Mapping[str, Any]) -> str:
    with _session(miner) as tell:
        tell("resetminer")
    return "the mining program restarts"


def reboot(miner: Conversation, params: Mapping[str, Any]) -> str:
    with _session(miner) as tell:
        tell("rebootdevice")
    return "the miner reboots"


def set_fan(miner: Conversation, params: Mapping[str, Any]) -> str:
    with _session(miner) as tell:
        tell("fanset", f"speed={params['speed']:g}")
    return f"fans are fixed at {params['speed']:g} %"


def set_frequency(miner: Conversation, params: Mapping[str, Any]) -> str:
    """Board by board, as LuxOS wants it; `devs` numbers them as `frequencyset` does."""
    boards = [str(row["ID"]) for row in device_rows(miner.answer.replies) if isinstance(row.get("ID"), int)]
    if not boards:
        raise MinerReplyError(f"{miner.client.address}: the miner lists no board to set a frequency on")
    with _session(miner) as tell:
        for board in boards:
            tell("frequencyset", f"{board},{params['frequency']:g}")
    return f"{len(boards)} boards are set to {params['frequency']:g} MHz"


@contextmanager
def _session(miner: Conversation) -> Iterator[Callable[..., None]]:
    """Log on, or use the session somebody left open; one of our own is ended afterwards."""
    session, is_ours = _log_on(miner)

    def tell(command: str, parameter: str = "") -> None:
        miner.tell(command, f"{session},{parameter}" if parameter else session)

    try:
        yield tell
    finally:
        if is_ours:
            with suppress(MinerError):  # the miner ends it by itself, at the latest with its restart
                miner.tell("logoff", session)


def _log_on(miner: Conversation) -> tuple[str, bool]:
    try:
        return _session_id(miner, "logon"), True
    except MinerReplyError:
        return _session_id(miner, "session"), False


def _session_id(miner: Conversation, command: str) -> str:
    session = str(first(miner.tell(command), "SESSION").get("SessionID") or "")
    if not session:
        raise MinerReplyError(f"{miner.client.address}: the miner gives no session; is somebody else logged on?")
    return session
