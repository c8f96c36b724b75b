"""How many alerts are open, by site and severity: one query for a whole page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import Count

from alerts.models import Alert, Severity

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

LEVELS = {Severity.CRITICAL: "danger", Severity.WARNING: "warning", Severity.INFO: "info"}


@dataclass(slots=True)
class OpenAlerts:
    """What is open, acknowledged or not; what is silenced is left out."""

    by_severity: dict[str, int] = field(default_factory=dict)

    def add(self, severity: str, count: int) -> None:
        self.by_severity[severity] = self.by_severity.get(severity, 0) + count

    @property
    def total(self) -> int:
        return sum(self.by_severity.values())

    @property
    def critical(self) -> int:
        return self.by_severity.get(Severity.CRITICAL, 0)

    @property
    def level(self) -> str:
        """Of the worst: danger, warning, info; success when nothing is open."""
        return next((level for severity, level in LEVELS.items() if self.by_severity.get(severity)), "success")


def open_alerts(user: AbstractBaseUser | AnonymousUser) -> dict[int | None, OpenAlerts]:
    """By the site's primary key; None: of this server."""
    rows = Alert.objects.open().visible_to(user).filter(is_silenced=False).order_by().values_list("site", "severity")
    counts: dict[int | None, OpenAlerts] = {}
    for site, severity, count in rows.annotate(Count("pk")):
        counts.setdefault(site, OpenAlerts()).add(severity, count)
    return counts


def together(counts: Iterable[OpenAlerts]) -> OpenAlerts:
    """Several sites as one."""
    total = OpenAlerts()
    for each in counts:
        for severity, count in each.by_severity.items():
            total.add(severity, count)
    return total
