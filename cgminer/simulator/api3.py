"""A simulated Whatsminer that speaks API 3: what it says to a request, and the connections it keeps open between two.

A real one closes a connection after 300 s without a request and takes ten at a time; both are more than a test or a demo waits for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cgminer.actions.proof import Proof
from cgminer.frames import framed_text
from cgminer.simulator.miner import SimulatedMiner, SimulatedPool
from cgminer.simulator.vitals import vitals

SALT: Final = "BQ5hoXV9"
_LONGEST_REQUEST: Final = 4095
_BAD_JSON, _FAIL, _UNKNOWN, _REFUSED = -3, -1, -2, -4
_FACTORY_BIN: Final = "H42A07-25010601 BINV01-206803C"


@dataclass(frozen=True, slots=True)
class Said:
    """A code and message to answer, and what happens besides. `told` is the control command that was carried out or refused."""

    code: int
    message: Any
    told: str = ""
    parameter: str = ""
    restarts: bool = False


def requests_in(buffer: bytearray) -> list[bytes]:
    """The whole requests at the start of `buffer`, taken out of it; heartbeats are passed over. Raises ValueError for one too long."""
    found = []
    while len(buffer) >= 4:
        length = int.from_bytes(buffer[:4], "little")
        if length > _LONGEST_REQUEST:
            raise ValueError("longer than the firmware takes")
        if len(buffer) < 4 + length:
            break
        if length:
            found.append(bytes(buffer[4 : 4 + length]))
        del buffer[: 4 + length]
    return found


def reply_to(miner: SimulatedMiner, raw: bytes, now: float) -> tuple[bytes, Said]:
    """The bytes to answer, with what was said in them."""
    try:
        request = json.loads(raw)
    except ValueError:
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("cmd"), str):
        said, command = Said(_BAD_JSON, "invalid json item"), ""
    else:
        command = request["cmd"]
        said = _obey(miner, command, request, now) if command.startswith("set.") else _tell(miner, command, request.get("param"), now)
    document = {"code": said.code, "when": int(now), "msg": said.message, "desc": command}
    return framed_text(json.dumps(document)), said


def _tell(miner: SimulatedMiner, command: str, param: Any, now: float) -> Said:
    values = vitals(miner, now)
    if command == "get.device.info":
        info = _info(miner, values)
        return Said(0, info if param is None else {param: info[param]} if param in info else {})
    if command == "get.miner.status":
        parts = str(param or "").split("+")
        return Said(0, {name: part(miner, values) for name, part in _PARTS.items() if name in parts})
    if command == "get.miner.setting":
        return Said(0, {"power-mode": miner.power_mode, "power-limit": values["limit"], "upfreq-speed": 0, "target-freq": 0})
    return Said(_UNKNOWN, "invalid command")


def _info(miner: SimulatedMiner, values: Mapping[str, Any]) -> dict[str, Any]:
    model, fitted = miner.model, miner.words["boards_fitted"]
    machine = {"working": "false" if miner.asleep else "true", "type": model.name.removeprefix("Whatsminer ") + "_VK30"}
    machine |= {"hash-board": "K30", "cointype": "BTC", "pool-strategy": "FAILOVER", "board-num": str(model.boards)}
    machine |= {"detect-hash-rate": "".join(f"{values['ideal_board']:.0f}:" for _ in range(model.boards))}
    machine |= {f"pcbsn{slot}": values[f"sn{slot + 1}"] for slot in range(fitted)}
    machine |= {f"chipdata{slot}": _FACTORY_BIN for slot in range(fitted)}
    machine |= {"miner-sn": values["serial"], "power-limit-set": str(values["limit"]), "fast-boot": "disable"}
    system = {"api": "3.0.1", "platform": "H616", "fwversion": "20250214.16.Rel2", "control-board-version": "CB6V10"}
    power = {"type": "P463B", "mode": _MODES[miner.power_mode], "pin": values["power"], "vin": 228.5, "fanspeed": values["fan3"]}
    return {
        "network": {"proto": "dhcp", "ip": miner.spec.host, "mac": values["mac"], "hostname": f"WM-{values['serial']}"},
        "miner": machine,
        "system": system | {"apiswitch": "1" if miner.spec.privileged else "0", "ledstatus": "auto"},
        "power": power | {"temp0": 41.3, "sn": f"P{values['serial']}", "vendor": "1"},
        "salt": SALT,
        "error-code": [{"350": "2026-01-01 00:00:00", "reason": "temperature protection"}] if miner.overheated else [],
    }


def _summary(miner: SimulatedMiner, values: Mapping[str, Any]) -> dict[str, Any]:
    chips = [values[f"chip{board}"] for board in _boards(miner)]
    return {
        "elapsed": values["elapsed"],
        "bootup-time": values["elapsed"] + 100,
        "freq-avg": values["freq"],
        "factory-hash": values["ideal"] / 1000,
        "hash-average": values["ghs_av"] / 1000,
        "hash-1min": values["ghs_5s"] / 1000,
        "hash-15min": values["ghs_30m"] / 1000,
        "hash-realtime": values["ghs_5s"] / 1000,
        "power-realtime": values["power"],
        "power-5min": values["power"] + 0.5,
        "environment-temperature": round(values["ambient"], 1),
        "board-temperature": [float(values[f"pcb{board}"]) for board in _boards(miner)],
        "chip-temp-min": min(chips),
        "chip-temp-avg": round(sum(chips) / len(chips), 1),
        "chip-temp-max": max(chips),
        "power-limit": values["limit"],
        "up-freq-finish": 1,
        "fan-speed-in": values["fan1"],
        "fan-speed-out": values["fan2"],
    }


def _pools(miner: SimulatedMiner, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "url": pool.url,
            "status": "alive",
            "account": pool.user,
            "stratum-active": number - 1 == miner.pool_in_use and miner.boards_up > 0,
            "reject-percent": 0.14,
            "last-share-time": values["when"],
        }
        for number, pool in enumerate(miner.pools, start=1)
    ]


def _devices(miner: SimulatedMiner, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": board - 1,
            "slot": board - 1,
            "hash-average": values[f"rate{board}"] / 1000,
            "factory-hash": values["ideal_board"] / 1000,
            "freq": values[f"freq{board}"],
            "effective-chips": values[f"acn{board}"],
            "chip-temp-min": values[f"chip{board}"] - 9.0,
            "chip-temp-avg": values[f"chip{board}"] - 4.0,
            "chip-temp-max": float(values[f"chip{board}"]),
        }
        for board in _boards(miner)
    ]


def _boards(miner: SimulatedMiner) -> range:
    return range(1, miner.model.boards - miner.boards_lost + 1)


_PARTS: Final[dict[str, Callable[[SimulatedMiner, Mapping[str, Any]], Any]]] = {"summary": _summary, "pools": _pools, "edevs": _devices}
_MODES: Final = {"low": "0", "normal": "1", "high": "2"}


def _obey(miner: SimulatedMiner, command: str, request: dict[str, Any], now: float) -> Said:
    """Carry out a control command that proves the password and for which the API is open."""
    proof = Proof.of(command, password=miner.spec.admin_password, salt=SALT, at=_moment(request))
    if not miner.spec.privileged or request.get("token") != proof.token or request.get("account") != "super":
        return Said(_REFUSED, "no permission", told=command)
    param = request.get("param")
    if command == "set.system.reboot":
        return Said(0, "ok", told=command, restarts=True)
    if command == "set.miner.service" and param in ("start", "stop", "restart"):
        miner.settle(now)
        miner.curtailed = param == "stop" if param != "restart" else miner.curtailed
        return Said(0, "ok", told=command, parameter=param, restarts=param == "restart")
    if command == "set.miner.pools":
        return _set_pools(miner, command, param, proof)
    known = command in ("set.miner.service", "set.miner.pools")
    return Said(_FAIL if known else _UNKNOWN, "fail" if known else "invalid command", told=command, parameter=str(param))


def _set_pools(miner: SimulatedMiner, command: str, param: Any, proof: Proof) -> Said:
    try:
        pools = json.loads(proof.open(str(param)))
        wanted = [SimulatedPool(url=pool["pool"], user=pool["worker"], password=pool["passwd"]) for pool in pools]
    except (ValueError, TypeError, KeyError):
        return Said(_FAIL, "fail", told=command)
    miner.pools = wanted[:3]
    miner.save()
    miner.use_pool(0, time.time())
    return Said(0, "ok", told=command, parameter=json.dumps([pool.url for pool in miner.pools]))


def _moment(request: Mapping[str, Any]) -> int:
    moment = request.get("ts")
    return moment if type(moment) is int else 0
