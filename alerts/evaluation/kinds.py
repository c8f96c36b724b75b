"""Which function looks for which kind of rule, and how its rule is read. A new kind is a line in each table it belongs to."""

from __future__ import annotations

from alerts.evaluation import command_kinds, counters, detail_kinds, miner_kinds, pool_kinds, site_kinds, system_kinds
from alerts.evaluation.answers import Kind
from alerts.models import RuleKind

OF_MINERS: dict[str, Kind] = {
    RuleKind.MINER_OFFLINE: miner_kinds.offline,
    RuleKind.TEMPERATURE_HIGH: miner_kinds.temperature_high,
    RuleKind.FAN_FAILED: detail_kinds.fan_failed,
    RuleKind.BOARD_LOST: detail_kinds.board_lost,
    RuleKind.CHIPS_LOST: detail_kinds.chips_lost,
    RuleKind.POWER_HIGH: miner_kinds.power_high,
    RuleKind.WRONG_POOL: pool_kinds.wrong_pool,
    RuleKind.WRONG_WORKER: miner_kinds.wrong_worker,
    RuleKind.REBOOT_LOOP: counters.reboot_loop,
    RuleKind.REJECTS_HIGH: counters.rejects_high,
    RuleKind.COMMAND_NOT_VERIFIED: command_kinds.command_not_verified,
    RuleKind.HASHRATE_LOW: miner_kinds.hashrate_low,
}
"""In the order of evaluation: a hash rate is low last, when what may explain it is known."""

OF_SITES: dict[str, Kind] = {
    RuleKind.COLLECTOR_SILENT: site_kinds.collector_silent,
    RuleKind.POLLER_STOPPED: site_kinds.poller_stopped,
    RuleKind.COVERAGE_LOW: site_kinds.coverage_low,
    RuleKind.CLOCK_SKEW: site_kinds.clock_skew,
    RuleKind.SITE_HASHRATE_STEP: site_kinds.hashrate_step,
    RuleKind.SITE_POWER_STEP: site_kinds.power_step,
}

OF_SYSTEM: dict[str, Kind] = {
    RuleKind.SCHEDULER_STOPPED: system_kinds.scheduler_stopped,
    RuleKind.DISK_LOW: system_kinds.disk_low,
    RuleKind.PARTITIONS_LOW: system_kinds.partitions_low,
    RuleKind.BREAKER_OPEN: system_kinds.breaker_open,
}

ORDER = [*OF_MINERS, *OF_SITES, *OF_SYSTEM]
KINDS = OF_MINERS | OF_SITES | OF_SYSTEM

WINDOWED = frozenset({RuleKind.REBOOT_LOOP, RuleKind.COMMAND_NOT_VERIFIED})
"""The rule's minutes are the window in which it counts; nothing has to hold beyond that."""

EXPLAINED_BY: dict[str, frozenset[str]] = {
    RuleKind.HASHRATE_LOW: frozenset(
        {RuleKind.TEMPERATURE_HIGH, RuleKind.BOARD_LOST, RuleKind.CHIPS_LOST, RuleKind.WRONG_POOL, RuleKind.REBOOT_LOOP}
    ),
}
"""A miner with an alert of one of these kinds gets none of the kind before it: it would say the same thing again."""

TOPOLOGY: dict[str, tuple[str, ...]] = {
    RuleKind.MINER_OFFLINE: ("rack", "zone", "subnet", "site"),
    RuleKind.HASHRATE_LOW: ("pool", "rack", "zone", "site"),
    RuleKind.REJECTS_HIGH: ("pool", "zone", "site"),
    RuleKind.WRONG_POOL: ("rack", "zone", "subnet", "site"),
    RuleKind.WRONG_WORKER: ("rack", "zone", "subnet", "site"),
}
PLACES = ("rack", "zone", "site")
"""What can fail as a whole, where a kind does not say otherwise; of two that fit equally well the first one is named."""
