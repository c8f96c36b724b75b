"""What Prometheus is told of the farm's state, read from the database when it asks. One series a site, a job, a status; never one a miner.

Counters belong to the process that counts; a state that several processes know belongs to the database they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min, OuterRef, Q, Subquery, Sum
from django_q.models import OrmQ
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from alerts.models import Alert, Severity
from commands.models import MinerCommand
from market import quotes
from resilience.breakers import LEVELS
from resilience.models import JobLease
from sites.models import Collector, Site
from telemetry.models import CollectorUploadLog, TelemetryGap
from telemetry.series import SiteStatistics, site_statistics

log = structlog.get_logger(__name__)

STATES = ("online", "sleeping", "offline", "stale", "never")
MEASURED = {
    "miners_online_total": ("Miners of the site that are online, by the word of the console.", "online"),
    "site_hashrate_ghs": ("Hash rate of the site's miners, GH/s.", "hashrate_ghs"),
    "site_hashrate_expected_ghs": ("What they should do, GH/s.", "hashrate_expected_ghs"),
    "site_power_watts": ("Power that the site's miners report.", "power_consumption"),
    "site_power_nameplate_watts": ("Power by nameplate of those that hash and report none.", "power_nameplate"),
    "site_temperature_max_celsius": ("The hottest miner of the site.", "temperature_max"),
}


def collect_gauges(*, now: datetime) -> Iterable[Metric]:
    """All gauges at `now`. Where the database does not answer, `hashinsight_database_up` is 0 and the others are missing, not wrong."""
    up = GaugeMetricFamily("hashinsight_database_up", "Whether the database answered this scrape.")
    clock = GaugeMetricFamily("hashinsight_clock_timestamp_seconds", "The time of day by this server's clock.", value=now.timestamp())
    try:
        found = [*_sites(now), *_work(), *_jobs(), *_gaps(), *_alerts(), *_collectors(now), *_market(now)]
        up.add_metric([], 1)
    except (DatabaseError, InterfaceError) as error:
        log.warning("metrics_without_database", error=str(error).strip())
        found = []
        up.add_metric([], 0)
    return [up, clock, *found]


def _sites(now: datetime) -> Iterator[Metric]:
    sites = list(Site.objects.active())
    statistics = site_statistics(sites, now=now)
    rows = [(site.code, statistics[site.pk]) for site in sites]
    for name, (text, field) in MEASURED.items():
        yield _by_site(name, text, ((code, getattr(each, field)) for code, each in rows))
    yield _by_site(
        "site_newest_reading_timestamp_seconds",
        "Time of the newest reading of any miner of the site.",
        ((code, _seconds(each.newest_reading_at)) for code, each in rows),
    )
    yield _states(rows)
    yield _last_uploads()


def _states(rows: list[tuple[str, SiteStatistics]]) -> Metric:
    states = GaugeMetricFamily("site_miners", "Enabled miners by state, as the console shows it.", labels=["site_id", "state"])
    for code, each in rows:
        for state in STATES:
            states.add_metric([code, state], getattr(each, state))
    return states


def _last_uploads() -> Metric:
    uploads = CollectorUploadLog.objects.filter(site_id=OuterRef("pk")).order_by("-upload_time").values("upload_time")[:1]
    newest = Site.objects.active().annotate(last_upload_at=Subquery(uploads)).values_list("code", "last_upload_at")
    return _by_site(
        "collector_last_upload_timestamp_seconds",
        "Time of the last upload of the site's collector, accepted or not.",
        ((code, _seconds(at)) for code, at in newest),
    )


def _work() -> Iterator[Metric]:
    commands = GaugeMetricFamily("miner_commands_open", "Commands that are not yet answered.", labels=["site_id", "status"])
    for code, status, count in MinerCommand.objects.open().order_by().values_list("site__code", "status").annotate(Count("pk")):
        commands.add_metric([code, status], count)
    yield commands
    depth = GaugeMetricFamily("task_queue_depth", "Background tasks that wait or are at work.")
    depth.add_metric([], OrmQ.objects.count())
    yield depth


def _jobs() -> Iterator[Metric]:
    """The heartbeat of each job; a job that never succeeded has no time of success."""
    succeeded = GaugeMetricFamily("job_last_success_timestamp_seconds", "When the job last ended well.", labels=["job"])
    failed = GaugeMetricFamily("job_failed", "1 when the job's last run failed.", labels=["job"])
    duration = GaugeMetricFamily("job_duration_seconds", "How long the job's last run took.", labels=["job"])
    dropped = GaugeMetricFamily("job_runs_dropped", "Runs that began too late or found another one at work, so far.", labels=["job"])
    for lease in JobLease.objects.order_by("name"):
        _add(succeeded, lease.name, _seconds(lease.succeeded_at))
        _add(duration, lease.name, None if lease.duration_ms is None else lease.duration_ms / 1000)
        _add(failed, lease.name, 1 if lease.error else 0)
        _add(dropped, lease.name, lease.dropped)
    yield from (succeeded, failed, duration, dropped)


def _gaps() -> Iterator[Metric]:
    gaps = GaugeMetricFamily("telemetry_gaps_open", "Miners, or the whole site, that are silent now.", labels=["site_id", "cause"])
    for code, cause, count in (
        TelemetryGap.objects.filter(ended_at=None).order_by().values_list("site__code", "cause").annotate(Count("pk"))
    ):
        gaps.add_metric([code, cause], count)
    yield gaps
    missing = GaugeMetricFamily("collector_records_missing", "Numbered readings that have not arrived.", labels=["site_id", "cause"])
    known = TelemetryGap.objects.filter(collector__isnull=False).order_by().values_list("site__code", "cause")
    for code, cause, records in known.annotate(Sum("records")):
        if records is not None:
            missing.add_metric([code, cause], records)
    yield missing


def _collectors(now: datetime) -> Iterator[Metric]:
    """Of the watched collectors of each site, the one that was not heard of for longest, and what waits at all of them."""
    rows = list(
        Collector.objects.watched()
        .order_by()
        .values_list("site__code")
        .annotate(Min("heartbeat_at"), Sum("spool_records"), Sum("spool_bytes"), silent=Count("pk", filter=Q(silent_from__lt=now)))
    )
    yield _by_site(
        "collector_heartbeat_age_seconds",
        "Age of the last heartbeat of the collector that was not heard of for longest.",
        ((code, (now - at).total_seconds()) for code, at, _records, _size, _silent in rows),
    )
    yield _by_site("collector_spool_records", "Readings that wait at the farm.", ((row[0], row[2]) for row in rows))
    yield _by_site("collector_spool_bytes", "What they take of its disks.", ((row[0], row[3]) for row in rows))
    yield _by_site(
        "collectors_silent", "Watched collectors without a heartbeat for three of their intervals.", ((row[0], row[4]) for row in rows)
    )


def _alerts() -> Iterator[Metric]:
    """Zero where there is none, so that a rule on it ends; without a site for what concerns this server itself."""
    codes = ["", *Site.objects.active().values_list("code", flat=True)]
    counts = {(code, severity): 0 for code in codes for severity in Severity.values}
    rows = Alert.objects.open().order_by().values_list("site__code", "severity").annotate(Count("pk"))
    counts |= {(code or "", severity): count for code, severity, count in rows}
    alerts = GaugeMetricFamily("alerts_open", "Alerts that are not over, acknowledged ones among them.", labels=["site_id", "severity"])
    for (code, severity), count in counts.items():
        alerts.add_metric([code, severity], count)
    yield alerts


def _market(now: datetime) -> Iterator[Metric]:
    """What is shown as known; an unknown value has no series."""
    if not settings.MARKET_DATA:
        return
    values = {"market_btc_price_usd": quotes.btc_price(now=now), "market_btc_difficulty": quotes.btc_difficulty(now=now)}
    for name, quote in values.items():
        value = GaugeMetricFamily(name, "As last fetched.", labels=["source"])
        fetched = GaugeMetricFamily(f"{name}_timestamp_seconds", "When it was fetched.")
        if quote is not None:
            value.add_metric([quote.source], quote.value)
            fetched.add_metric([], quote.at.timestamp())
        yield from (value, fetched)
    state = GaugeMetricFamily("market_breaker_state", "0 closed, 1 half-open, 2 open: the provider is left alone.", labels=["provider"])
    for provider, name in quotes.breakers().items():
        state.add_metric([provider], LEVELS[name])
    yield state


def _by_site(name: str, text: str, values: Iterable[tuple[str, float | None]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["site_id"])
    for code, value in values:
        _add(family, code, value)
    return family


def _add(family: GaugeMetricFamily, label: str, value: float | None) -> None:
    """What is not known has no series: None is not zero."""
    if value is not None:
        family.add_metric([label], value)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
