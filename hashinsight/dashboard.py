"""The farm at a glance: totals, the sites by what they lose, and whether readings and jobs still flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from alerts.counts import OpenAlerts, together
from commands.models import MinerCommand
from hashinsight.heartbeats import (
    channel_heartbeats,
    collector_heartbeats,
    job_heartbeats,
    scheduler_heartbeat,
    service_heartbeats,
)
from hashinsight.open_alerts import counted
from hashinsight.pages.charts import with_silent_sites
from hashinsight.pages.collectors import collector_rows
from hashinsight.standing import Standing, earnings, market_standing
from sites.models import CollectorKey, Site
from telemetry.series import SiteStatistics, farm_series, site_statistics


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    site: Site
    standing: Standing
    alerts: OpenAlerts


def index_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's hook: what the index page shows."""
    return {**context, "title": _("Overview"), **overview_context(request, now=timezone.now())}


def overview_fragment(request: HttpRequest) -> HttpResponse:
    """The live part of the index page, fetched again while it is open."""
    return render(request, "console/overview.html", overview_context(request, now=timezone.now()))


def overview_context(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    sites = list(Site.objects.visible_to(request.user).active())
    statistics = site_statistics(sites, now=now)
    alerts = counted(request)
    rows = [
        SiteRow(
            site=site, standing=Standing([statistics[site.pk]], price_kwh=site.power_price_kwh), alerts=alerts.get(site.pk, OpenAlerts())
        )
        for site in sites
    ]
    rows.sort(key=lambda row: (-row.standing.lost_ghs, row.site.code))
    farm, market = Standing(list(statistics.values())), market_standing(now=now)
    day = farm_series(sites, start=now - timedelta(days=1), end=now)
    return {
        "now": now,
        "farm": farm,
        "coverage": with_silent_sites(day).coverage if farm.miners else None,
        "earnings": earnings(farm, [row.standing for row in rows], market),
        "rows": rows,
        "sites": sites,
        "alerts": together(alerts.values()),
        "collectors": collector_heartbeats(sites, now=now),
        "edge_collectors": collector_rows(sites, now=now),
        "scheduler": scheduler_heartbeat(now=now),
        "services": [*service_heartbeats(), *channel_heartbeats(request)],
        "jobs": job_heartbeats(now=now) if request.user.has_perm("resilience.view_joblease") else {},
        "market": market,
        "market_is_on": settings.MARKET_DATA,
        "open_commands": MinerCommand.objects.open().filter(site__in=sites).count(),
        "checklist": first_steps(request, sites, statistics) if not any(row.standing.newest_reading_at for row in rows) else [],
    }


def first_steps(request: HttpRequest, sites: Sequence[Site], statistics: dict[int, SiteStatistics]) -> list[dict[str, Any]]:
    """What a fresh installation still needs before a first miner is seen; each step ticks itself. Nothing for who may take none of them."""
    has_miners = any(entry.miners for entry in statistics.values())
    has_keys = CollectorKey.objects.filter(site__in=sites).exists()
    steps = (
        (bool(sites), _("Add a site"), "admin:sites_site_add", "sites.add_site"),
        (has_miners, _("Import the miners that this server reads"), "console:import_miners", "miners.add_miner"),
        (has_keys, _("Or give the farm's collector a key"), "admin:sites_collectorkey_add", "sites.add_collectorkey"),
    )
    mine = [{"done": done, "text": text, "url": url} for done, text, url, right in steps if request.user.has_perm(right)]
    seen = {"done": False, "text": _("See the first reading: within a minute of the first poll or upload"), "url": ""}
    return [*mine, seen] if mine else []
