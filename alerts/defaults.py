"""The rules a new installation starts with: one of each kind, on, quiet enough to be left on.

The migration that makes them reads this; so does a rule whose threshold is empty. Two more show an action each and are off.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from alerts.models import AlertRule, RuleKind, Severity
from commands.models import CommandType

DRY_RUN = AlertRule.ActionMode.DRY_RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """Columns of `AlertRule`; the threshold is in the unit of the kind."""

    severity: Severity = Severity.WARNING
    threshold: float | None = None
    threshold_from_model: bool = False
    for_minutes: int = 0
    clear_margin: float = 0.0
    clear_minutes: int = 2


DEFAULTS = {
    RuleKind.MINER_OFFLINE: Default(threshold=3),
    RuleKind.HASHRATE_LOW: Default(threshold=80, for_minutes=10, clear_margin=5, clear_minutes=5),
    RuleKind.TEMPERATURE_HIGH: Default(
        severity=Severity.CRITICAL, threshold=90, threshold_from_model=True, for_minutes=2, clear_margin=3, clear_minutes=5
    ),
    RuleKind.FAN_FAILED: Default(threshold=500, for_minutes=3, clear_minutes=5),
    RuleKind.BOARD_LOST: Default(threshold=1, threshold_from_model=True, for_minutes=10, clear_minutes=10),
    RuleKind.CHIPS_LOST: Default(severity=Severity.INFO, threshold=5, for_minutes=30, clear_margin=1, clear_minutes=30),
    RuleKind.REJECTS_HIGH: Default(threshold=5, clear_margin=1, clear_minutes=5),
    RuleKind.WRONG_POOL: Default(severity=Severity.CRITICAL, for_minutes=15, clear_minutes=5),
    RuleKind.WRONG_WORKER: Default(for_minutes=15, clear_minutes=5),
    RuleKind.REBOOT_LOOP: Default(threshold=3, for_minutes=60),
    RuleKind.POWER_HIGH: Default(threshold=115, for_minutes=10, clear_margin=3, clear_minutes=10),
    RuleKind.CLOCK_SKEW: Default(threshold=60, for_minutes=5, clear_margin=30, clear_minutes=10),
    RuleKind.COLLECTOR_SILENT: Default(severity=Severity.CRITICAL, threshold=3),
    RuleKind.POLLER_STOPPED: Default(severity=Severity.CRITICAL, threshold=3),
    RuleKind.SCHEDULER_STOPPED: Default(severity=Severity.CRITICAL, threshold=10),
    RuleKind.COVERAGE_LOW: Default(threshold=80, for_minutes=15, clear_margin=5, clear_minutes=15),
    RuleKind.SITE_HASHRATE_STEP: Default(threshold=15, clear_margin=5, clear_minutes=10),
    RuleKind.SITE_POWER_STEP: Default(threshold=20, clear_margin=5, clear_minutes=10),
    RuleKind.DISK_LOW: Default(severity=Severity.CRITICAL, threshold=10, clear_margin=2, clear_minutes=5),
    RuleKind.PARTITIONS_LOW: Default(severity=Severity.CRITICAL, threshold=2),
    RuleKind.BREAKER_OPEN: Default(severity=Severity.INFO, for_minutes=5, clear_minutes=5),
    RuleKind.COMMAND_NOT_VERIFIED: Default(threshold=1, for_minutes=60, clear_minutes=0),
}

WITH_ACTIONS: dict[str, tuple[RuleKind, Default, CommandType]] = {
    "hash-rate-zero": (
        RuleKind.HASHRATE_LOW,
        Default(severity=Severity.CRITICAL, threshold=1, for_minutes=10, clear_margin=20, clear_minutes=5),
        CommandType.RESTART,
    ),
    "overheated": (
        RuleKind.TEMPERATURE_HIGH,
        Default(severity=Severity.CRITICAL, threshold=100, clear_margin=10, clear_minutes=10),
        CommandType.DISABLE,
    ),
}
"""By slug: a miner that answers and does not hash is restarted; one far too hot is switched off. Both only say so at first."""


def default_rows() -> list[dict[str, Any]]:
    """The columns of each default rule."""
    rows = [{"slug": kind.value.replace("_", "-"), "kind": kind.value, **_columns(default)} for kind, default in DEFAULTS.items()]
    for slug, (kind, default, action) in WITH_ACTIONS.items():
        acts = {"action": action.value, "action_mode": DRY_RUN.value, "is_enabled": False}
        rows.append({"slug": slug, "kind": kind.value, **_columns(default), **acts})
    return rows


def _columns(default: Default) -> dict[str, Any]:
    return {**asdict(default), "severity": default.severity.value}
