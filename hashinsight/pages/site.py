"""A site's own page: where it stands, its day, what needs a look first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Case, F, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from alerts.models import Alert
from alerts.wording import headline
from commands.permissions import allowed_commands
from hashinsight.heartbeats import collector_heartbeats
from hashinsight.pages.access import site_or_404
from hashinsight.pages.collectors import collector_rows
from hashinsight.standing import Standing
from miners.models import Miner, MinerState
from preferences.wishes import in_zone_of
from sites.models import CollectorKey, Site
from telemetry.models import CollectorUploadLog
from telemetry.series import site_statistics

WORST_AT_MOST = 12
ALERTS_AT_MOST = 6


def overview(request: HttpRequest, pk: int) -> HttpResponse:
    site = site_or_404(request, pk)
    own = {"title": site.name, "may_command": bool(allowed_commands(request.user))}
    with in_zone_of(request, site.timezone):
        return render(request, "console/site.html", {**admin.site.each_context(request), **own, **_context(site, now=timezone.now())})


def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that is fetched again while it is open."""
    site = site_or_404(request, pk)
    with in_zone_of(request, site.timezone):
        return render(request, "console/site_live.html", _context(site, now=timezone.now()))


def _context(site: Site, *, now: datetime) -> dict[str, Any]:
    standing = Standing([site_statistics([site], now=now)[site.pk]], price_kwh=site.power_price_kwh)
    return {
        "site": site,
        "now": now,
        "standing": standing,
        "alerts": open_alerts(site),
        "worst": worst_miners(site, now=now)[:WORST_AT_MOST] if standing.miners else [],
        "collectors": collector_heartbeats([site], now=now),
        "edge_collectors": collector_rows([site], now=now),
        "uploads": list(CollectorUploadLog.objects.filter(site=site).order_by("-upload_time")[:5]),
        "has_key": CollectorKey.objects.usable(now).filter(site=site).exists(),
    }


def open_alerts(site: Site) -> list[dict[str, Any]]:
    """The worst and newest first, with one more than are shown if there are more."""
    alerts = Alert.objects.open().filter(site=site, is_silenced=False).select_related("rule", "site", "miner")
    newest = alerts.order_by(Case(When(severity="critical", then=0), When(severity="warning", then=1), default=2), "-opened_at")
    return [{"alert": alert, "headline": headline(alert)} for alert in newest[: ALERTS_AT_MOST + 1]]


def worst_miners(site: Site, *, now: datetime) -> QuerySet[Miner]:
    """Miners that need a look, by the hash rate that is missing: away, or well under what is expected, or with a board out."""
    miners = Miner.objects.filter(site=site, is_enabled=True).with_state(now).with_expectation()
    away = Q(state__in=[MinerState.OFFLINE, MinerState.STALE])
    weak = Q(state=MinerState.ONLINE) & (Q(delivered_percent__lt=90) | Q(live__boards_healthy__lt=F("live__boards_total")))
    unwell = Q(state=MinerState.ONLINE, live__mining_state__in=["overheated", "fault"])
    return miners.filter(away | weak | unwell).with_loss().select_related("model", "live").order_by(F("lost_ghs").desc(), "miner_id")
