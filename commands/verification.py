"""What the telemetry that follows a command proves of it, whatever was claimed.

A restart or reboot is proved by an uptime that began after the command went out; disable by a hash rate of zero; enable by one above zero;
set_pool by the pool in use; set_frequency by the frequency read; set_fan by the duty that this server read back. What no reading can show
stays unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from commands import dispatch
from commands.models import SERVER, CommandType, MinerCommand, Verification
from telemetry.models import MinerTelemetryHistory, MinerTelemetryLive

WINDOW = timedelta(minutes=10)
"""How long after it went out a command may take to show."""
LOOK_BACK = timedelta(minutes=15)
CLOCK_SLACK = timedelta(seconds=5)
FREQUENCY_TOLERANCE = 0.03
"""Firmware rounds to its own steps; 3 % covers the coarsest known."""

FAN_TOLERANCE = 3
"""Percentage points: what a firmware reports of a duty it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one reading says that matters here. Hash rate in GH/s, the shortest window known; frequency in MHz."""

    timestamp: datetime
    online: bool
    mining_state: str | None = None
    hashrate_ghs: float | None = None
    uptime_seconds: int | None = None
    frequency_avg: float | None = None
    pool_url: str | None = None

    def as_evidence(self) -> dict[str, Any]:
        values = {
            name: getattr(self, name) for name in ("online", "mining_state", "hashrate_ghs", "uptime_seconds", "frequency_avg", "pool_url")
        }
        return {"at": self.timestamp.isoformat(), **{name: value for name, value in values.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Verdict:
    verification: Verification
    evidence: dict[str, Any]


Proof = Callable[[MinerCommand, Observation], bool | None]
"""True when the observation proves the command, False when it speaks against it, None when it says nothing."""


def verify_due(now: datetime, *, at_once: int = 2_000) -> dict[str, int]:
    """Judge the commands that went out and are not judged yet; returns how many by verdict, "waiting" for those still open to proof."""
    counts: dict[str, int] = defaultdict(int)
    keys = list(MinerCommand.objects.awaiting_verification().order_by("sent_at").values_list("pk", flat=True))
    for start in range(0, len(keys), at_once):
        due = list(MinerCommand.objects.filter(pk__in=keys[start : start + at_once]).select_related("miner"))
        observations = _observations(due, now=now)
        for command in due:
            verdict = judge(command, observations[command.miner_id], now=now)
            if verdict:
                dispatch.record_verification(command, verdict.verification, evidence=verdict.evidence, now=now)
            counts[str(verdict.verification) if verdict else "waiting"] += 1
    return dict(counts)


def judge(command: MinerCommand, observations: Sequence[Observation], *, now: datetime) -> Verdict | None:
    """The verdict on `command` from its miner's observations in order of time; None while it may still be proved."""
    sent_at = command.sent_at
    assert sent_at is not None, "only a command that went out can be judged"
    before = next((item for item in reversed(observations) if item.timestamp <= sent_at), None)
    after = [item for item in observations if item.timestamp > sent_at]
    if fan := _fan_read_back(command):
        return fan
    proof = PROOFS.get(command.command)
    for observation in after if proof else []:
        if proof and proof(command, observation):
            return Verdict(Verification.VERIFIED, _evidence(before, observation, sent_at=sent_at))
    if now < sent_at + WINDOW:
        return None
    telling = [item for item in after if proof and proof(command, item) is False]
    if telling:
        return Verdict(Verification.NOT_VERIFIED, _evidence(before, telling[-1], sent_at=sent_at))
    reason = "no reading that could show it arrived in time" if proof else "no reading shows what this command changes"
    return Verdict(Verification.UNKNOWN, {"reason": reason, "before": before.as_evidence() if before else None})


def _restarted(command: MinerCommand, seen: Observation) -> bool | None:
    if seen.uptime_seconds is None or command.sent_at is None:
        return None
    return seen.timestamp - timedelta(seconds=seen.uptime_seconds) >= command.sent_at - CLOCK_SLACK


def _stopped(command: MinerCommand, seen: Observation) -> bool | None:
    if not seen.online or seen.hashrate_ghs is None:
        return None
    return seen.hashrate_ghs == 0 or seen.mining_state == "sleeping"


def _hashing(command: MinerCommand, seen: Observation) -> bool | None:
    if not seen.online or seen.hashrate_ghs is None:
        return None
    return seen.hashrate_ghs > 0


def _pool_in_use(command: MinerCommand, seen: Observation) -> bool | None:
    wanted = command.params.get("pool_url") or _expected_pool(command)
    if not wanted or not seen.pool_url:
        return None
    return _host_and_port(wanted) == _host_and_port(seen.pool_url)


def _frequency(command: MinerCommand, seen: Observation) -> bool | None:
    wanted = command.params.get("frequency")
    if not wanted or not seen.frequency_avg:
        return None
    return abs(seen.frequency_avg - float(wanted)) <= float(wanted) * FREQUENCY_TOLERANCE


def _expected_pool(command: MinerCommand) -> str | None:
    """The address behind a pool's number, which this server read just before; an agent's word for it proves nothing."""
    before = command.result.get("before") if command.leased_by.startswith(SERVER) else None
    return before.get("expected_pool_url") if isinstance(before, dict) else None


def _fan_read_back(command: MinerCommand) -> Verdict | None:
    """A fan's duty is in no stored reading: it is known where this server read it back right after it set it."""
    if command.command != CommandType.SET_FAN or not command.leased_by.startswith(SERVER):
        return None
    before, after = command.result.get("before") or {}, command.result.get("after") or {}
    duty = after.get("fan_duty_percent")
    if duty is None or command.finished_at is None:
        return None
    proved = abs(duty - float(command.params["speed"])) <= FAN_TOLERANCE
    evidence = {"before": before, "after": {"at": command.finished_at.isoformat(), **after}}
    return Verdict(Verification.VERIFIED if proved else Verification.NOT_VERIFIED, evidence)


PROOFS: dict[str, Proof] = {
    CommandType.RESTART: _restarted,
    CommandType.REBOOT: _restarted,
    CommandType.DISABLE: _stopped,
    CommandType.ENABLE: _hashing,
    CommandType.SET_POOL: _pool_in_use,
    CommandType.SET_FREQUENCY: _frequency,
}


def _host_and_port(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url if "://" in url else f"stratum+tcp://{url}")
    return (parts.hostname or "").lower(), parts.port


def _evidence(before: Observation | None, after: Observation, *, sent_at: datetime) -> dict[str, Any]:
    return {
        "before": before.as_evidence() if before else None,
        "after": after.as_evidence(),
        "seconds": round((after.timestamp - sent_at).total_seconds(), 1),
    }


def _observations(commands: Sequence[MinerCommand], *, now: datetime) -> dict[int, list[Observation]]:
    """The readings around `commands`, by miner, in order of time; the pool in use is only known of the newest."""
    found: dict[int, list[Observation]] = defaultdict(list)
    if not commands:
        return found
    miners = {command.miner_id for command in commands}
    since = min(command.sent_at for command in commands if command.sent_at) - LOOK_BACK
    rows = MinerTelemetryHistory.objects.filter(miner__in=miners, timestamp__gte=since, timestamp__lte=now).order_by("timestamp")
    for row in rows.iterator(chunk_size=5_000):
        found[row.miner_id].append(_observation(row))
    for live in MinerTelemetryLive.objects.filter(miner__in=miners, timestamp__gte=since):
        _append_newest(found[live.miner_id], _observation(live, pool_url=live.pool_url))
    return found


def _append_newest(observations: list[Observation], newest: Observation) -> None:
    while observations and observations[-1].timestamp >= newest.timestamp:
        observations.pop()
    observations.append(newest)


def _observation(row: MinerTelemetryHistory | MinerTelemetryLive, *, pool_url: str | None = None) -> Observation:
    return Observation(
        timestamp=row.timestamp,
        online=row.online,
        mining_state=row.mining_state,
        hashrate_ghs=row.hashrate_ghs if row.hashrate_5s_ghs is None else row.hashrate_5s_ghs,
        uptime_seconds=row.uptime_seconds if row.online else None,
        frequency_avg=row.frequency_avg,
        pool_url=pool_url,
    )
