"""The farm at a glance: totals, the sites by what they lose, and whether readings and jobs still flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Max, OuterRef, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from alerts.counts import OpenAlerts, together
from alerts.models import NotificationChannel
from alerts.scoping import of_own_sites
from commands.models import MinerCommand
from hashinsight.open_alerts import counted
from hashinsight.pages.charts import with_silent_sites
from hashinsight.pages.collectors import collector_rows
from market import quotes
from market.revenue import bitcoin_a_day
from miners.models import MinerState
from resilience.fallback import redis_trouble
from resilience.models import JobLease
from sites.models import CollectorKey, Site
from telemetry.models import CollectorUploadLog
from telemetry.series import SiteStatistics, farm_series, site_statistics

HEARTBEAT_LATE = timedelta(minutes=5)
COLLECTOR_LATE_INTERVALS = 3


@dataclass(frozen=True)
class Standing:
    """Totals of one site or of several, with what follows from them. Hash rates in GH/s, power in W."""

    statistics: Sequence[SiteStatistics]
    price_kwh: Decimal | None = None

    def _sum(self, name: str) -> float | None:
        values = [value for entry in self.statistics if (value := getattr(entry, name)) is not None]
        return sum(values) if values else None

    @cached_property
    def miners(self) -> int:
        return sum(entry.miners for entry in self.statistics)

    @cached_property
    def states(self) -> list[tuple[MinerState, int]]:
        """How many miners are in each state, in the order of a farm's health."""
        shown = (MinerState.ONLINE, MinerState.SLEEPING, MinerState.STALE, MinerState.OFFLINE, MinerState.NEVER)
        return [(state, sum(getattr(entry, state.value) for entry in self.statistics)) for state in shown]

    @cached_property
    def online(self) -> int:
        return sum(entry.online for entry in self.statistics)

    @cached_property
    def hashrate_ghs(self) -> float | None:
        return self._sum("hashrate_ghs")

    @cached_property
    def expected_ghs(self) -> float | None:
        return self._sum("hashrate_expected_ghs")

    @cached_property
    def power_nameplate(self) -> float | None:
        """Of hashing miners that report no power."""
        return self._sum("power_nameplate")

    @cached_property
    def power_consumption(self) -> float | None:
        """What miners report, and the nameplate of those that report none."""
        known = [power for power in (self._sum("power_consumption"), self.power_nameplate) if power is not None]
        return sum(known) if known else None

    @cached_property
    def delivered_percent(self) -> float | None:
        return (self.hashrate_ghs or 0) * 100 / self.expected_ghs if self.expected_ghs else None

    @cached_property
    def lost_ghs(self) -> float:
        """What is expected and not delivered; 0 when nothing is known to be missing."""
        return max(0.0, (self.expected_ghs or 0) - (self.hashrate_ghs or 0))

    @cached_property
    def efficiency(self) -> float | None:
        """J/TH, over the miners whose power is known."""
        hashrate = self._sum("powered_hashrate_ghs")
        return self.power_consumption / hashrate * 1000 if self.power_consumption and hashrate else None

    @cached_property
    def delivered_width(self) -> int:
        """Of a bar, in percent."""
        return round(min(100.0, self.delivered_percent or 0))

    @cached_property
    def cost_day(self) -> float | None:
        """USD of power a day at what is drawn now."""
        if self.price_kwh is None or self.power_consumption is None:
            return None
        return self.power_consumption / 1000 * 24 * float(self.price_kwh)

    @cached_property
    def newest_reading_at(self) -> datetime | None:
        return max((entry.newest_reading_at for entry in self.statistics if entry.newest_reading_at), default=None)


@dataclass(frozen=True, kw_only=True)
class Earnings:
    """Of a day at what is hashed and drawn now, USD; None for unknown.

    `unpriced` sites draw power and have no price for it: theirs is not in `cost`.
    """

    btc: float | None
    revenue: float | None
    cost: float | None
    unpriced: int

    @property
    def margin(self) -> float | None:
        """Unknown, too, while the power of a site costs nobody knows what."""
        return None if self.revenue is None or self.cost is None or self.unpriced else self.revenue - self.cost


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    site: Site
    standing: Standing
    alerts: OpenAlerts


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """One thing that must keep going: a job or a site's collector. `level` is success, warning, danger or default."""

    name: str
    level: str
    status: str
    at: datetime | None
    detail: str = ""
    is_timeless: bool = False


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
        "earnings": earnings(farm, rows, market),
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
        "checklist": first_steps(sites, statistics) if not any(row.standing.newest_reading_at for row in rows) else [],
    }


def market_standing(*, now: datetime) -> dict[str, quotes.Quote | None]:
    """The price and the difficulty as far as they are known; nothing while market data is off."""
    if not settings.MARKET_DATA:
        return {}
    return {"price": quotes.btc_price(now=now), "difficulty": quotes.btc_difficulty(now=now)}


def earnings(farm: Standing, rows: Sequence[SiteRow], market: dict[str, quotes.Quote | None]) -> Earnings:
    price, difficulty = market.get("price"), market.get("difficulty")
    btc = None
    if difficulty and farm.hashrate_ghs is not None:
        btc = bitcoin_a_day(farm.hashrate_ghs, difficulty=difficulty.value, subsidy_btc=settings.BLOCK_SUBSIDY_BTC)
    drawing = [row.standing for row in rows if row.standing.power_consumption]
    costs = [standing.cost_day for standing in drawing if standing.cost_day is not None]
    return Earnings(
        btc=btc,
        revenue=btc * price.value if btc is not None and price else None,
        cost=sum(costs) if costs else None,
        unpriced=len(drawing) - len(costs),
    )


def service_heartbeats() -> list[Heartbeat]:
    """What this server can do without for a while. As the web process that answers sees it."""
    if not settings.REDIS_URL:
        return []
    trouble = redis_trouble()
    if trouble:
        return [
            Heartbeat(
                name="Redis", level="warning", status=_("away: each process uses its own memory"), at=None, detail=trouble, is_timeless=True
            )
        ]
    return [Heartbeat(name="Redis", level="success", status=_("in use"), at=None, is_timeless=True)]


def channel_heartbeats(request: HttpRequest) -> list[Heartbeat]:
    """Channels that no message gets through, for who may set them up: nobody else would hear that nobody hears."""
    if not request.user.has_perm("alerts.view_notificationchannel"):
        return []
    failing = of_own_sites(NotificationChannel.objects.filter(is_enabled=True, failing_since__isnull=False), request.user)
    status = _("messages do not arrive")
    return [Heartbeat(name=row.name, level="danger", status=status, at=row.failing_since, detail=row.last_error) for row in failing]


def job_heartbeats(*, now: datetime) -> dict[str, list[Heartbeat]]:
    """The jobs of the scheduler, those "in_trouble" (failed, or never finished) apart from those that are "well"."""
    jobs = [_job_heartbeat(lease, now=now) for lease in JobLease.objects.order_by("name")]
    return {
        "in_trouble": [job for job in jobs if job.level != "success"],
        "well": [job for job in jobs if job.level == "success"],
    }


def _job_heartbeat(lease: JobLease, *, now: datetime) -> Heartbeat:
    at = lease.succeeded_at
    if lease.error:
        return Heartbeat(name=lease.name, level="danger", status=_("failed"), at=at, detail=lease.error)
    if lease.owner and lease.expires_at and lease.expires_at > now:
        return Heartbeat(name=lease.name, level="success", status=_("running"), at=at, detail=lease.result)
    if at is None:
        return Heartbeat(name=lease.name, level="warning", status=_("never finished"), at=at)
    return Heartbeat(name=lease.name, level="success", status=_("well"), at=at, detail=lease.result)


def scheduler_heartbeat(*, now: datetime) -> Heartbeat:
    """Whether background work goes on at all: the newest start of any job."""
    newest = JobLease.objects.aggregate(at=Max("started_at"))["at"]
    if newest is None:
        return Heartbeat(name=_("Scheduler"), level="danger", status=_("no job has run yet"), at=None)
    if now - newest > HEARTBEAT_LATE:
        return Heartbeat(name=_("Scheduler"), level="danger", status=_("stopped"), at=newest)
    return Heartbeat(name=_("Scheduler"), level="success", status=_("running"), at=newest)


def collector_heartbeats(sites: Sequence[Site], *, now: datetime) -> list[Heartbeat]:
    """Each site that a collector feeds, by its last upload and what was refused within the last hour."""
    fed = [site for site in sites if site.collection == Site.Collection.COLLECTOR]
    if not fed:
        return []
    uploads = CollectorUploadLog.objects.filter(site_id=OuterRef("pk")).order_by("-upload_time")
    rows = (
        Site.objects.filter(pk__in=[site.pk for site in fed])
        .annotate(last_upload_at=Subquery(uploads.values("upload_time")[:1]), last_status=Subquery(uploads.values("status")[:1]))
        .in_bulk()
    )
    refused = _refused_last_hour(fed, now=now)
    usable = set(CollectorKey.objects.usable(now).filter(site__in=fed).values_list("site_id", flat=True))
    return [_collector_heartbeat(rows[site.pk], refused=refused.get(site.pk, 0), has_key=site.pk in usable, now=now) for site in fed]


def _refused_last_hour(sites: Sequence[Site], *, now: datetime) -> dict[int, int]:
    hour = CollectorUploadLog.objects.filter(site__in=sites, upload_time__gte=now - timedelta(hours=1)).order_by()
    return {row["site_id"]: row["refused"] for row in hour.values("site_id").annotate(refused=Sum("error_count")) if row["refused"]}


def _collector_heartbeat(site: Any, *, refused: int, has_key: bool, now: datetime) -> Heartbeat:
    late = timedelta(seconds=site.interval_seconds * COLLECTOR_LATE_INTERVALS)
    level, status = "success", _("uploading")
    if site.last_upload_at is None:
        level, status = ("warning", _("no upload yet")) if has_key else ("default", _("has no key yet"))
    elif now - site.last_upload_at > late:
        level, status = "danger", _("silent")
    elif site.last_status == CollectorUploadLog.Status.REFUSED:
        level, status = "danger", _("last upload refused")
    detail = _("%(count)d records refused in the last hour") % {"count": refused} if refused else ""
    return Heartbeat(
        name=site.name, level="warning" if detail and level == "success" else level, status=status, at=site.last_upload_at, detail=detail
    )


def first_steps(sites: Sequence[Site], statistics: dict[int, SiteStatistics]) -> list[dict[str, Any]]:
    """What a fresh installation still needs before a first miner is seen; each step ticks itself."""
    has_miners = any(entry.miners for entry in statistics.values())
    has_keys = CollectorKey.objects.filter(site__in=sites).exists()
    return [
        {"done": bool(sites), "text": _("Add a site"), "url": "admin:sites_site_add"},
        {
            "done": has_keys or has_miners,
            "text": _("Import its miners, or give its collector a key"),
            "url": "admin:sites_collectorkey_add",
        },
        {"done": False, "text": _("See the first reading: within a minute of the first poll or upload"), "url": ""},
    ]
