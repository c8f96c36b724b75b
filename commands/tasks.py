"""What the cluster runs for commands: carry out, close, judge, and let batches go on."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.utils import timezone

from commands import batches, dispatch, executor, verification
from commands.models import MinerCommand
from resilience.leases import LeaseTaken, forget_jobs, job_lease, leased_job
from sites.models import Site

JOB_S = 300
"""Longer than the cluster lets a task run."""
TEND_S = 55
PREFIX = "commands "
SLOTS = (1, 2)
EXECUTION_S = 120
"""Longer than a run of the executor takes; so long a site waits when a runner was killed."""


def execute_site_commands(site_code: str) -> str:
    """Carry out what is due at a site. Two runs at most: more would keep the workers from the polls, and one alone would leave the site
    waiting for the lease of a run that was killed."""
    site = Site.objects.polled().filter(code=site_code).first()
    if site is None:
        return f"{site_code}: no active site that this server polls"
    for slot in SLOTS:
        try:
            with job_lease(f"{PREFIX}{site.code} {slot}", ttl_s=EXECUTION_S) as lease:
                report = executor.execute_due(site)
                lease.result = str(report)
        except LeaseTaken:
            continue
        # Asked again after the lease is given back: whoever found none free meanwhile has left its command to this run.
        if report.taken and executor.has_due(site):
            dispatch.wake_executors([site.pk])
        return str(report)
    return f"{site.code}: {len(SLOTS)} runs are under way already"


@leased_job("execute_commands", ttl_s=60)
def execute_commands() -> str:
    """Each minute: what no task carried out, for it was lost or the cluster was down."""
    now = timezone.now()
    codes = Site.objects.polled().values_list("code", flat=True)
    forget_jobs(PREFIX, keep=[f"{PREFIX}{code} {slot}" for code in codes for slot in SLOTS], now=now)
    due = MinerCommand.objects.filter(site=OuterRef("pk")).executable(now)
    sites = list(Site.objects.polled().filter(Exists(due)).values_list("pk", flat=True))
    dispatch.wake_executors(sites)
    return f"{len(sites)} sites have commands due"


@leased_job("expire_commands", ttl_s=JOB_S)
def expire_commands() -> str:
    return f"{dispatch.expire_due(timezone.now())} expired"


@leased_job("advance_batches", ttl_s=90)
def advance_batches() -> str:
    """Each minute, and while a batch is running each second of it: groups are released seconds apart."""
    return f"{batches.tend(seconds=TEND_S)} batches under way"


@leased_job("verify_commands", ttl_s=JOB_S)
def verify_commands() -> str:
    judged = verification.verify_due(timezone.now())
    return ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in judged.items()) or "nothing to verify"
