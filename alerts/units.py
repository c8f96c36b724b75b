"""How a rule's threshold and an alert's value are written: the number with its unit, in the active language."""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from alerts.models import RuleKind

UNITS = {
    RuleKind.MINER_OFFLINE: _("{value} rounds missed"),
    # xgettext:no-python-format
    RuleKind.HASHRATE_LOW: _("{value} % of the expected hash rate"),
    RuleKind.TEMPERATURE_HIGH: _("{value} °C"),
    RuleKind.FAN_FAILED: _("{value} rpm"),
    RuleKind.BOARD_LOST: ngettext_lazy("{value} board missing", "{value} boards missing", "count"),
    # xgettext:no-python-format
    RuleKind.CHIPS_LOST: _("{value} % of the chips missing"),
    # xgettext:no-python-format
    RuleKind.REJECTS_HIGH: _("{value} % of the shares rejected"),
    RuleKind.REBOOT_LOOP: _("{value} restarts"),
    # xgettext:no-python-format
    RuleKind.POWER_HIGH: _("{value} % of the nameplate power"),
    RuleKind.CLOCK_SKEW: _("{value} s off"),
    RuleKind.COLLECTOR_SILENT: _("{value} intervals without an upload"),
    RuleKind.POLLER_STOPPED: _("{value} intervals without a good round"),
    RuleKind.SCHEDULER_STOPPED: _("{value} min without a good run"),
    # xgettext:no-python-format
    RuleKind.COVERAGE_LOW: _("{value} % of the readings of an hour"),
    # xgettext:no-python-format
    RuleKind.SITE_HASHRATE_STEP: _("{value} % less than before"),
    # xgettext:no-python-format
    RuleKind.SITE_POWER_STEP: _("{value} % away from before"),
    # xgettext:no-python-format
    RuleKind.DISK_LOW: _("{value} % free"),
    RuleKind.PARTITIONS_LOW: ngettext_lazy("{value} day made ahead", "{value} days made ahead", "count"),
    RuleKind.COMMAND_NOT_VERIFIED: ngettext_lazy("{value} command not verified", "{value} commands not verified", "count"),
}
"""By kind; those without a threshold (wrong pool, wrong worker, breaker open) have no value either."""

COUNTED = frozenset({RuleKind.BOARD_LOST, RuleKind.PARTITIONS_LOW, RuleKind.COMMAND_NOT_VERIFIED})
"""Kinds whose words go by the number."""

UNIT_NAMES = {
    RuleKind.MINER_OFFLINE: _("rounds"),
    # xgettext:no-python-format
    RuleKind.HASHRATE_LOW: _("% of expected"),
    RuleKind.TEMPERATURE_HIGH: "°C",
    RuleKind.FAN_FAILED: _("rpm"),
    RuleKind.BOARD_LOST: _("boards"),
    # xgettext:no-python-format
    RuleKind.CHIPS_LOST: _("% of the chips"),
    # xgettext:no-python-format
    RuleKind.REJECTS_HIGH: _("% of the shares"),
    RuleKind.REBOOT_LOOP: _("restarts"),
    # xgettext:no-python-format
    RuleKind.POWER_HIGH: _("% of the nameplate"),
    RuleKind.CLOCK_SKEW: _("s"),
    RuleKind.COLLECTOR_SILENT: _("intervals"),
    RuleKind.POLLER_STOPPED: _("intervals"),
    RuleKind.SCHEDULER_STOPPED: _("min"),
    # xgettext:no-python-format
    RuleKind.COVERAGE_LOW: _("% of the readings"),
    RuleKind.SITE_HASHRATE_STEP: "%",
    RuleKind.SITE_POWER_STEP: "%",
    # xgettext:no-python-format
    RuleKind.DISK_LOW: _("% free"),
    RuleKind.PARTITIONS_LOW: _("days"),
    RuleKind.COMMAND_NOT_VERIFIED: _("commands"),
}
"""The unit of the threshold alone, for a form or a table."""

BELOW = frozenset(
    {RuleKind.HASHRATE_LOW, RuleKind.FAN_FAILED, RuleKind.COVERAGE_LOW, RuleKind.DISK_LOW, RuleKind.PARTITIONS_LOW},
)
"""Kinds whose condition is a value below the threshold; for all others it is one at or above it."""


def number(value: float) -> str:
    """One decimal where it says something: 91.3, 4, 0.5."""
    rounded = round(value, 1)
    return str(number_format(int(rounded) if rounded == int(rounded) else rounded, use_l10n=True, force_grouping=True))


def with_unit(kind: str, value: float | None) -> str:
    """ "87.5 % of the expected hash rate"; "" where the kind has no value or it is not known."""
    text = UNITS.get(RuleKind(kind))
    if text is None or value is None:
        return ""
    worded = text % {"count": round(value)} if kind in COUNTED else text
    return str(worded).format(value=number(value))
