"""What the background cluster runs: each task reads its arguments, calls one function, and returns one line for the task list."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.conf import settings
from django.utils import timezone
from django_q.tasks import async_task

from resilience.leases import RunDropped, leased_job, refuse_late
from sites.models import Site
from telemetry import gaps, partitions, retention, rollups
from telemetry.poll_plan import Shard, due_rounds, job_name
from telemetry.poller import poll_site

log = structlog.get_logger(__name__)

JOB_S = 300
"""The lease of the jobs below the polls: longer than the cluster lets a task run."""
TASK_MARGIN_S = 15
"""Seconds a poll task may take beyond the round's own deadline before the cluster ends it; less than the lease's margin."""


@leased_job("enqueue_polls", ttl_s=60)
def enqueue_polls() -> str:
    """Each minute: one task for each round that is due, so that the clusters of several machines share the sites."""
    now = timezone.now()
    due = due_rounds(now=now)
    for each in due:
        async_task(
            "telemetry.tasks.poll_site_task",
            each.site_code,
            each.shard.index,
            each.shard.count,
            enqueued_at=now.isoformat(),
            task_name=f"{each.site_code} {each.shard} {now:%H:%M:%S}",
            group="poll",
            timeout=settings.POLL_DEADLINE_S + TASK_MARGIN_S,
        )
    return f"{len(due)} rounds enqueued"


def poll_site_task(site_code: str, shard_index: int = 0, shard_count: int = 1, *, enqueued_at: str | None = None) -> str:
    """One round of one site. A run that starts too late, or finds another one at work, does nothing and says so."""
    shard = Shard(shard_index, shard_count)
    now = timezone.now()
    asked_at = datetime.fromisoformat(enqueued_at) if enqueued_at else now
    site = Site.objects.filter(code=site_code, is_active=True).first()
    if site is None:
        return f"{site_code}: no such active site"
    try:
        refuse_late(job_name(site_code, shard), enqueued_at=asked_at, now=now, grace_s=settings.POLL_MISFIRE_GRACE_S)
        return str(poll_site(site, now=now, shard=shard, enqueued_at=asked_at))
    except RunDropped as dropped:
        log.warning("job_dropped", job=job_name(site_code, shard), reason=str(dropped))
        return str(dropped)


@leased_job("roll_up", ttl_s=JOB_S)
def roll_up() -> str:
    """Each minute: bring the roll-ups and the sites' summaries up to date."""
    report = rollups.roll_up(timezone.now())
    return f"{report.buckets} buckets rolled up, {report.left} left"


@leased_job("gaps", ttl_s=JOB_S)
def update_gaps() -> str:
    """Each minute: note who has fallen silent, who is back, and what late readings have filled."""
    report = gaps.update(timezone.now())
    return f"{report.opened} opened, {report.ended} ended, {report.changed} changed"


@leased_job("ensure_partitions", ttl_s=JOB_S)
def ensure_partitions() -> str:
    """Each hour: there is a partition for today and the days ahead."""
    made = partitions.ensure(timezone.now())
    return f"{len(made)} made"


@leased_job("prune", ttl_s=JOB_S)
def prune() -> str:
    """Nightly: remove what is older than its limit. What the cluster's time limit cuts off goes the next night."""
    report = retention.prune(now=timezone.now())
    rows = ", ".join(f"{count} of {table}" for table, count in report.rows.items() if count)
    return f"removed {rows or 'nothing'}"
