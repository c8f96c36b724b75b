"""The edge collectors of some sites, as the overview and a site's page show them: by their heartbeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sites.collector_admin import STATE_COLOURS
from sites.models import Collector, Site
from telemetry import units

SHOWN_AT_MOST = 20


@dataclass(frozen=True, kw_only=True)
class CollectorRow:
    """One collector. `level` is success, warning, danger or default."""

    pk: int
    name: str
    level: str
    status: Any
    at: datetime | None
    detail: str


def collector_rows(sites: Sequence[Site], *, now: datetime) -> list[CollectorRow]:
    """Those that beat and are watched, the longest unheard first; with the site's name where there are several sites."""
    found = Collector.objects.watched().filter(site__in=sites).select_related("site").order_by("silent_from", "pk")
    return [_row(collector, with_site=len(sites) > 1, now=now) for collector in found[:SHOWN_AT_MOST]]


def _row(collector: Collector, *, with_site: bool, now: datetime) -> CollectorRow:
    state = collector.state(now)
    return CollectorRow(
        pk=collector.pk,
        name=f"{collector.site.name}: {collector}" if with_site else str(collector),
        level=STATE_COLOURS[state],
        status=state.label,
        at=collector.heartbeat_at,
        detail=_detail(collector),
    )


def _detail(collector: Collector) -> str:
    """Version, and what waits."""
    parts = [collector.version] if collector.version else []
    lag = collector.lag().total_seconds()
    if collector.spool_records and lag > 2 * collector.interval_seconds:
        count = collector.spool_records
        waiting = ngettext("%(count)s reading waits", "%(count)s readings wait", count) % {"count": units.number(count)}
        parts.append(_("%(waiting)s, %(lag)s behind") % {"waiting": waiting, "lag": units.duration(lag)})
    return " · ".join(parts)
