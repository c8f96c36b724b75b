"""What must keep going, and whether it does: the scheduler and its jobs, collectors, channels, Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, OuterRef, Subquery, Sum
from django.http import HttpRequest
from django.utils.translation import gettext as _

from alerts.models import NotificationChannel
from alerts.scoping import of_own_sites
from resilience.fallback import redis_trouble
from resilience.models import JobLease
from sites.models import CollectorKey, Site
from telemetry.models import CollectorUploadLog

HEARTBEAT_LATE = timedelta(minutes=5)
COLLECTOR_LATE_INTERVALS = 3


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """One thing that must keep going: a job or a site's collector. `level` is success, warning, danger or default."""

    name: str
    level: str
    status: str
    at: datetime | None
    detail: str = ""
    is_timeless: bool = False


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
