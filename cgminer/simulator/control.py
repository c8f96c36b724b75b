"""What control commands do to a simulated miner."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cgminer.actions.sealing import token_for
from cgminer.simulator.miner import SimulatedMiner, SimulatedPool

SESSION = "hs5im8tk"
"""The session id that a simulated LuxOS gives to everyone who logs on."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The STATUS to answer; `restarts` sends the miner away afterwards."""

    severity: str
    code: int
    message: str
    restarts: bool = False
    word: str = ""
    """Answered as a bare STATUS word instead ("RESTART", "BYE")."""
    extra: str = ""
    """A section answered beside the STATUS, as JSON text."""
    section: Mapping[str, str] | None = None
    """Answered as the message, which on a Whatsminer may be an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlEvent:
    """One control command that reached a miner. `answer` is the STATUS letter and code, such as "S 27"."""

    at: float
    miner_id: str
    command: str
    parameter: str
    answer: str


def execute(miner: SimulatedMiner, command: str, parameter: str, now: float) -> Effect:
    """Carry out a command that the miner's firmware knows."""
    return _COMMANDS[command](miner, parameter, now)


def _privileged(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 46, "Privileged access OK")


def _restart(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 0, "", restarts=True, word="RESTART")


def _quit(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 0, "", restarts=True, word="BYE")


def _reboot(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 131, "API command OK", restarts=True)


def _save(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    miner.save()
    return Effect("S", 44, "Configuration saved to file 'cgminer.conf'")


def _zero(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 96, "Zeroed all stats without summary")


def _add_pool(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    if not parameter:
        return Effect("E", 52, "Missing addpool details")
    parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\),", parameter)]
    if len(parts) < 3:
        return Effect("E", 53, f"Invalid addpool details '{parameter}'")
    miner.pools.append(SimulatedPool(url=parts[0], user=parts[1], password=parts[2]))
    number = len(miner.pools) - 1 + miner.shape.first_pool
    return Effect("S", 55, f"Added pool {number}: '{parts[0]}'")


def _pool_index(miner: SimulatedMiner, parameter: str) -> int | Effect:
    if not parameter:
        return Effect("E", 25, "Missing pool id parameter")
    index = int(parameter) - miner.shape.first_pool if parameter.isdigit() else -1
    if 0 <= index < len(miner.pools):
        return index
    first = miner.shape.first_pool
    return Effect("E", 26, f"Invalid pool id {parameter} - range is {first} - {len(miner.pools) - 1 + first}")


def _switch_pool(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    index = _pool_index(miner, parameter)
    if isinstance(index, Effect):
        return index
    miner.pools[index].enabled = True
    miner.use_pool(index, now)
    return Effect("S", 27, f"Switching to pool {parameter}: '{miner.pools[index].url}'")


def _enable_pool(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    index = _pool_index(miner, parameter)
    if isinstance(index, Effect):
        return index
    if miner.pools[index].enabled:
        return Effect("I", 49, f"Pool {parameter}:'{miner.pools[index].url}' already enabled")
    miner.pools[index].enabled = True
    return Effect("S", 47, f"Enabling pool {parameter}:'{miner.pools[index].url}'")


def _disable_pool(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    index = _pool_index(miner, parameter)
    if isinstance(index, Effect):
        return index
    others = [number for number, pool in enumerate(miner.pools) if pool.enabled and number != index]
    if not others:
        return Effect("E", 51, "Cannot disable last active pool")
    miner.pools[index].enabled = False
    if miner.pool_in_use == index:
        miner.use_pool(others[0], now)
    return Effect("S", 48, f"Disabling pool {parameter}:'{miner.pools[index].url}'")


def _remove_pool(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    index = _pool_index(miner, parameter)
    if isinstance(index, Effect):
        return index
    if len(miner.pools) == 1:
        return Effect("E", 66, "Cannot remove last pool")
    if index == miner.pool_in_use:
        return Effect("E", 67, f"Cannot remove active pool {parameter}:'{miner.pools[index].url}'")
    removed = miner.pools.pop(index)
    miner.pool_in_use -= index < miner.pool_in_use
    return Effect("S", 68, f"Removed pool {parameter}:'{removed.url}'")


def _order_pools(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    wanted = [_pool_index(miner, part.strip()) for part in parameter.split(",")]
    indexes = [index for index in wanted if isinstance(index, int)]
    if len(indexes) != len(wanted) or len(set(indexes)) != len(indexes):
        return Effect("E", 26, f"Invalid pool id in '{parameter}'")
    miner.use_pool(indexes[0], now)
    return Effect("S", 73, "Changed pool priorities")


def _asc_disable(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    board = _board(miner, parameter)
    if isinstance(board, Effect):
        return board
    if board in miner.disabled_boards:
        return Effect("I", 109, f"ASC {board} already disabled")
    miner.settle(now)
    miner.disabled_boards.add(board)
    return Effect("S", 111, f"ASC {board} set disable flag")


def _asc_enable(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    board = _board(miner, parameter)
    if isinstance(board, Effect):
        return board
    if board not in miner.disabled_boards:
        return Effect("I", 108, f"ASC {board} already enabled")
    miner.settle(now)
    miner.disabled_boards.discard(board)
    return Effect("S", 110, f"ASC {board} sent enable message")


def _board(miner: SimulatedMiner, parameter: str) -> int | Effect:
    if not parameter:
        return Effect("E", 15, "Missing device id parameter")
    if parameter.isdigit() and int(parameter) < miner.model.boards:
        return int(parameter)
    return Effect("E", 107, f"Invalid ASC id {parameter} - range is 0 - {miner.model.boards - 1}")


def _sleep(miner: SimulatedMiner, now: float) -> None:
    miner.settle(now)
    miner.curtailed = True


def _wake(miner: SimulatedMiner, now: float) -> None:
    miner.settle(now)
    miner.curtailed = False


def _power_off(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    _sleep(miner, now)
    return Effect("S", 131, "API command OK")


def _power_on(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    _wake(miner, now)
    return Effect("S", 131, "API command OK")


def _pause(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    _sleep(miner, now)
    return Effect("S", 131, "Mining paused")


def _resume(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    _wake(miner, now)
    return Effect("S", 132, "Mining resumed")


def _log_on(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 316, "Session created", extra=f'"SESSION":[{{"SessionID":"{SESSION}"}}]')


def _log_off(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 317, "Session terminated") if parameter == SESSION else _no_session()


def _curtail(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    session, _, mode = parameter.partition(",")
    if session != SESSION:
        return _no_session()
    if mode not in ("sleep", "wakeup"):
        return Effect("E", 401, f"Invalid curtail mode '{mode}'")
    (_sleep if mode == "sleep" else _wake)(miner, now)
    return Effect("S", 338, "Curtail mode set")


def _session_restart(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    if parameter.partition(",")[0] != SESSION:
        return _no_session()
    return Effect("S", 319, "Restarting", restarts=True)


def _session(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    return Effect("S", 315, "Session information", extra=f'"SESSION":[{{"SessionID":"{SESSION}"}}]')


def _set_fans(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    session, _, setting = parameter.partition(",speed=")
    if session != SESSION:
        return _no_session()
    miner.fan_percent = float(setting)
    return Effect("S", 346, "Fan speed set")


def _set_frequency(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    session, board, frequency = (*parameter.split(","), "", "")[:3]
    if session != SESSION:
        return _no_session()
    if not board.isdigit() or int(board) >= miner.model.boards:
        return Effect("E", 304, f"Invalid board id {board}")
    miner.frequency_mhz = float(frequency)
    return Effect("S", 306, "Frequency set")


def _asc_set(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    """Avalon's `ascset`: standby begins and ends at the moment that is named, here at once."""
    _, option, value = (*parameter.split(",", 2), "", "")[:3]
    if option in ("softoff", "softon"):
        if int(value.partition(":")[2]) <= now:
            return Effect("E", 120, f"ASC 0 set failed: {option} in the past")
        (_sleep if option == "softoff" else _wake)(miner, now)
    elif option == "fan-spd":
        miner.fan_percent = float(value)
    elif option != "reboot":
        return Effect("E", 120, f"ASC 0 set failed: Unknown option: {option}")
    return Effect("S", 119, "ASC 0 set OK", restarts=option == "reboot")


def _update_pools(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    fields = json.loads(parameter)
    wanted = [(fields.get(f"pool{n}"), fields.get(f"worker{n}"), fields.get(f"passwd{n}")) for n in (1, 2, 3)]
    miner.pools = [SimulatedPool(url=url, user=user, password=password) for url, user, password in wanted if url]
    miner.save()
    miner.pool_in_use = 0
    return Effect("S", 131, "API command OK")


def _get_token(miner: SimulatedMiner, parameter: str, now: float) -> Effect:
    salt, newsalt, time = "BQ5hoXV9", "jbzkfQls", f"{int(now) % 10_000:04d}"
    miner.token = token_for(miner.spec.admin_password, time=time, salt=salt, newsalt=newsalt)
    return Effect("S", 134, "", section={"time": time, "salt": salt, "newsalt": newsalt})


def opened(miner: SimulatedMiner, sealed: str) -> tuple[str, str] | None:
    """Command and parameter of an encrypted request; None when it was made with another password or another token."""
    try:
        request = json.loads(miner.token.open(sealed)) if miner.token else {}
    except ValueError:
        return None
    if not miner.token or request.pop("token", None) != miner.token.sign:
        return None
    return str(request.pop("cmd", "")), json.dumps(request)


def _no_session() -> Effect:
    return Effect("E", 402, "Invalid session id")


_COMMANDS: dict[str, Callable[[SimulatedMiner, str, float], Effect]] = {
    "privileged": _privileged,
    "switchpool": _switch_pool,
    "addpool": _add_pool,
    "enablepool": _enable_pool,
    "disablepool": _disable_pool,
    "removepool": _remove_pool,
    "poolpriority": _order_pools,
    "ascenable": _asc_enable,
    "ascdisable": _asc_disable,
    "restart": _restart,
    "quit": _quit,
    "save": _save,
    "zero": _zero,
    "pause": _pause,
    "resume": _resume,
    "logon": _log_on,
    "logoff": _log_off,
    "session": _session,
    "fanset": _set_fans,
    "frequencyset": _set_frequency,
    "ascset": _asc_set,
    "update_pools": _update_pools,
    "get_token": _get_token,
    "curtail": _curtail,
    "rebootdevice": _session_restart,
    "resetminer": _session_restart,
    "power_off": _power_off,
    "power_on": _power_on,
    "restart_btminer": _reboot,
    "reboot": _reboot,
}
