"""What to do first about each kind of alert: one line that fits under a message on a phone."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from alerts.models import RuleKind

ADVICE = {
    RuleKind.MINER_OFFLINE: _(
        "Check power and network there: of a whole rack the breaker and the switch, of one miner its cable and supply."
    ),
    RuleKind.HASHRATE_LOW: _("Look at boards, temperature and pool on the miner's page; restart it once if nothing shows."),
    RuleKind.TEMPERATURE_HIGH: _("Check fans, filters and the air or coolant going in; switch the miner off if it keeps rising."),
    RuleKind.FAN_FAILED: _("Replace the fan soon: the others cannot carry the heat for long."),
    RuleKind.BOARD_LOST: _("Restart the miner once; if the board stays away, check its cables and send it to repair."),
    RuleKind.CHIPS_LOST: _("Note it for the next repair; with falling hash rate or rising temperature take the board out."),
    RuleKind.REJECTS_HIGH: _("Check the latency to the pool, and whether the pool reports trouble; switch to the next pool if it lasts."),
    RuleKind.WRONG_POOL: _("Compare the pools on the miner; if nobody changed them, treat it as a break-in and change the password."),
    RuleKind.WRONG_WORKER: _("Compare the worker on the miner with the inventory; if nobody changed it, treat it as a break-in."),
    RuleKind.REBOOT_LOOP: _("Check its power supply and the miner's own log; switch it off if it does not calm down."),
    RuleKind.POWER_HIGH: _("Check for overclocking, and whether the supply and the breaker carry it."),
    RuleKind.CLOCK_SKEW: _("Set the collector's clock by NTP; until then its readings are stored at the time of receipt."),
    RuleKind.COLLECTOR_SILENT: _(
        "Check the collector's power and its way to the internet; what it reads meanwhile is kept and sent later."
    ),
    RuleKind.POLLER_STOPPED: _("Look at the jobs under Background work and at the server's log; restart the cluster if it hangs."),
    RuleKind.SCHEDULER_STOPPED: _("Look at the job's last error under Jobs; restart the server if no job runs."),
    RuleKind.COVERAGE_LOW: _("Look at the gaps of the site: they say when nothing came and why."),
    RuleKind.SITE_HASHRATE_STEP: _("Look for what changed at that minute: power limit, pool, heat, a batch of commands."),
    RuleKind.SITE_POWER_STEP: _("Look for what changed at that minute: a feeder, a curtailment, a batch of commands."),
    RuleKind.DISK_LOW: _("Free space or enlarge the disk; shorten what is kept (HASHINSIGHT_RETENTION_…)."),
    RuleKind.PARTITIONS_LOW: _("Run manage.py ensure_partitions; without them uploads of the next days wait for partitions."),
    RuleKind.BREAKER_OPEN: _("The server goes on without it; check the service and the way to it."),
    RuleKind.COMMAND_NOT_VERIFIED: _("Look at the command's evidence; the miner may have refused it, or its firmware cannot do it."),
}


def advice_for(kind: str) -> object:
    """The line for a rule's kind, translated when it is written out."""
    return ADVICE[RuleKind(kind)]
