"""Whether a command shows in what its miner says afterwards: the same questions that the server asks of the telemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from cgminer.snapshot import MiningState, Snapshot

CLOCK_SLACK_S: Final = 5.0
COUNTING_SLACK_S: Final = 2.0
"""Uptimes count whole seconds, and some firmware a step behind."""
FREQUENCY_TOLERANCE: Final = 0.03
FAN_TOLERANCE: Final = 3.0

Params = Mapping[str, Any]
Proof = Callable[[Params, Snapshot], bool | None]
"""Takes the parameters and what the miner says. None: what it says tells nothing of this."""


def shows(command: str, params: Params, said: Snapshot, *, before: Mapping[str, Any], seconds: float) -> bool | None:
    """Whether what the miner says `seconds` after it was told proves the command, or speaks against it."""
    if command in ("restart", "reboot"):
        return _restarted(said, before.get("uptime_seconds"), seconds)
    proof = _PROOFS.get(command)
    return proof(params, said) if proof else None


def _restarted(said: Snapshot, uptime_before: float | None, seconds: float) -> bool | None:
    """Running for no longer than since it was told, and for less than it would be had it gone on."""
    if said.uptime_seconds is None:
        return None
    went_on = uptime_before is not None and said.uptime_seconds > uptime_before + seconds - COUNTING_SLACK_S
    return said.uptime_seconds <= seconds + CLOCK_SLACK_S and not went_on


def _stopped(params: Params, said: Snapshot) -> bool | None:
    rate = _rate(said)
    return True if said.mining_state is MiningState.SLEEPING else None if rate is None else rate == 0


def _hashing(params: Params, said: Snapshot) -> bool | None:
    if said.mining_state is MiningState.SLEEPING:
        return False
    rate = _rate(said)
    return None if rate is None else rate > 0


def _pool_in_use(params: Params, said: Snapshot) -> bool | None:
    pool = said.pool_in_use
    if pool is None:
        return None
    if params.get("pool_id") is not None:
        return pool.id == int(params["pool_id"])
    wanted = params.get("pool_url")
    return None if not wanted else _host_and_port(str(wanted)) == _host_and_port(pool.url)


def _frequency(params: Params, said: Snapshot) -> bool | None:
    wanted = params.get("frequency")
    if not wanted or not said.frequency_avg:
        return None
    return abs(said.frequency_avg - float(wanted)) <= float(wanted) * FREQUENCY_TOLERANCE


def _fan(params: Params, said: Snapshot) -> bool | None:
    wanted = params.get("speed")
    if wanted is None or said.fan_duty_percent is None:
        return None
    return abs(said.fan_duty_percent - float(wanted)) <= FAN_TOLERANCE


_PROOFS: Final[Mapping[str, Proof]] = {
    "disable": _stopped,
    "enable": _hashing,
    "set_pool": _pool_in_use,
    "set_frequency": _frequency,
    "set_fan": _fan,
}


def _rate(said: Snapshot) -> float | None:
    return said.hashrate_ghs if said.hashrate_5s_ghs is None else said.hashrate_5s_ghs


def _host_and_port(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url if "://" in url else f"stratum+tcp://{url}")
    return (parts.hostname or "").lower(), parts.port
