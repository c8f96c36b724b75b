"""One simulated miner: what it remembers, and what it says to a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cgminer.actions.sealing import Token
from cgminer.simulator.catalogue import Model
from cgminer.simulator.shape import Shape
from cgminer.simulator.spec import MinerSpec, State
from cgminer.simulator.vitals import SHARES_PER_SECOND, vitals

LONGEST_UPTIME_S = 30 * 86_400


@dataclass(slots=True)
class SimulatedPool:
    url: str
    user: str
    password: str = "x"
    enabled: bool = True
    accepted: int = 0
    """Shares of its earlier turns; the pool in use has those found since the last switch besides."""


class Request(NamedTuple):
    command: str
    parameter: str
    problem: int = 0
    """CGMiner's code for a request that is no request: 23 not JSON, 24 no command."""
    sealed: str = ""
    """The encrypted part of a request that has one."""


class SimulatedMiner:
    """State of one miner. Times are Unix seconds; every method that depends on the time is given it."""

    def __init__(self, spec: MinerSpec, now: float) -> None:
        self.spec = spec
        self.model: Model = spec.catalogued
        self.state = spec.state
        self.started_at = now - 600 - spec.seed * 7_919 % LONGEST_UPTIME_S
        self.away_until = 0.0
        self.curtailed = False
        self.disabled_boards: set[int] = set()
        self.frequency_mhz: float = self.model.frequency_mhz
        self.power_mode = "normal"
        self.fan_percent: float | None = None
        """As it was fixed; None while the firmware regulates it."""
        self.token: Token | None = None
        """The one given out last."""
        self.pools = _usual_pools(spec)
        self.pool_in_use = 0
        self._saved_pools = len(self.pools)
        self._accepted_before = 0
        self._hashed_board_s = 0.0
        self._counted_at = self.started_at

    @property
    def shape(self) -> Shape:
        return self.model.shape

    @property
    def asleep(self) -> bool:
        return self.curtailed or self.state is State.SLEEPING

    @property
    def overheated(self) -> bool:
        return self.state is State.OVERHEATED

    @property
    def boards_lost(self) -> int:
        return 1 if self.state is State.BOARD_LOST else 0

    @property
    def boards_up(self) -> int:
        """Boards that hash now."""
        if self.asleep or self.overheated:
            return 0
        return max(0, self.model.boards - self.boards_lost - len(self.disabled_boards))

    @property
    def chip_map(self) -> str:
        return _chip_map("x" if self.overheated else "o", self.model.chips)

    @property
    def words(self) -> dict[str, Any]:
        """What only some firmwares' templates use."""
        model = self.model
        return {
            "model": model.name,
            "model_code": model.name.removeprefix("Whatsminer ") + "V10",
            "temp_letter": "e" if self.overheated else "s",
            "lower_mode": 1 if self.asleep else 0,
            "curtail": "Sleep" if self.curtailed else "None",
            "nominal_mhs": model.hashrate_ghs / model.boards * 1000,
            "ideal_mhs": model.hashrate_ghs * 1000,
            "error_codes": '{"350":"2026-01-01 00:00:00"}' if self.overheated else "",
            "asleep_word": "true" if self.asleep else "false",
            "work_word": "In Idle" if self.asleep else "In Work",
            "soft_off": int(self.asleep),
            "boards_fitted": model.boards - self.boards_lost,
            "plain_mac": self.spec.mac_address.replace(":", "").lower(),
            "pool_count": len(self.pools),
        }

    def hashed_board_seconds(self, now: float) -> float:
        """Seconds of hashing since the start, summed over the boards."""
        return self._hashed_board_s + self.boards_up * max(0.0, now - self._counted_at)

    def accepted_shares(self, now: float) -> int:
        return int(self.hashed_board_seconds(now) / self.model.boards * SHARES_PER_SECOND)

    def use_pool(self, index: int, now: float) -> None:
        total = self.accepted_shares(now)
        self.pools[self.pool_in_use].accepted += total - self._accepted_before
        self._accepted_before = total
        self.pool_in_use = index

    def settle(self, now: float) -> None:
        """Count what was hashed so far; to be called before anything that changes how many boards hash."""
        self._hashed_board_s = self.hashed_board_seconds(now)
        self._counted_at = now

    def set_state(self, state: State, now: float) -> None:
        self.settle(now)
        self.state = state

    def restart(self, now: float, away_s: float) -> None:
        """The API goes away and counters start again when it is back; pools that were not saved are lost."""
        self.away_until = now + away_s
        self.started_at = self._counted_at = self.away_until
        self._hashed_board_s = 0.0
        self._accepted_before = 0
        self.disabled_boards.clear()
        del self.pools[self._saved_pools :]
        self.pool_in_use = min(self.pool_in_use, len(self.pools) - 1)
        for pool in self.pools:
            pool.accepted = 0

    def save(self) -> None:
        self._saved_pools = len(self.pools)

    def read(self, command: str, now: float) -> str | None:
        """The reply to a read command, joined or not; None when this firmware does not know it."""
        template = self.shape.template(command)
        if template is None:
            return None
        values = vitals(self, now)
        if "pools" in command:
            values["pools"] = self._pools(values)
        return template % values

    def unknown(self, now: float) -> str:
        return self.status("E", 14, self.shape.invalid, now)

    def status(self, severity: str, code: int, message: str, now: float) -> str:
        return self.shape.status(severity, code, message) % {"when": int(now)}

    def _pools(self, values: dict[str, Any]) -> str:
        return ",".join(self._pool(index, pool, values) for index, pool in enumerate(self.pools))

    def _pool(self, index: int, pool: SimulatedPool, values: dict[str, Any]) -> str:
        in_use = index == self.pool_in_use
        accepted = pool.accepted + (values["accepted"] - self._accepted_before if in_use else 0)
        return self.shape.pool % {
            "number": index + self.shape.first_pool,
            "url": pool.url,
            "user": pool.user,
            "server": _host_of(pool.url),
            "priority": index,
            "active": "true" if in_use and self.boards_up else "false",
            "accepted": accepted,
            "rejected": accepted // 700,
            "stale": accepted // 2_000,
            "when": values["when"],
        }


@lru_cache(maxsize=10_000)
def read_request(raw: bytes) -> Request:
    """What a client asks; Whatsminer clients write "cmd" and "param"."""
    try:
        document = json.loads(raw.rstrip(b"\0"))
    except ValueError:
        return Request("", "", 23)
    if not isinstance(document, dict):
        return Request("", "", 23)
    if document.get("enc") and isinstance(document.get("data"), str):
        return Request("", "", sealed=document["data"])
    command = document.pop("command", None) or document.pop("cmd", None)
    if not isinstance(command, str):
        return Request("", "", 24)
    parameter = document.get("parameter", document.get("param", json.dumps(document) if document else ""))
    return Request(command, str(parameter))


@lru_cache(maxsize=1_000)
def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


@lru_cache(maxsize=100)
def _chip_map(letter: str, chips: int) -> str:
    return "".join(" " + letter * min(8, chips - at) for at in range(0, chips, 8))


def _usual_pools(spec: MinerSpec) -> list[SimulatedPool]:
    worker = f"farm.{spec.miner_id}"
    hosts = ("pool-a.example.com", "pool-b.example.com", "pool-c.example.com")
    return [SimulatedPool(f"stratum+tcp://{host}:3333", worker) for host in hosts]
