"""Which rounds are due, in how many parts, and which of a site's miners belong to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Mod

from miners.models import Miner
from resilience.leases import forget_jobs
from resilience.models import JobLease
from sites.models import Site

JOB_PREFIX = "poll:"


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a large site, small enough for one task. `index` counts from 0; every miner is in exactly one part."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    def of(self, miners: QuerySet[Miner]) -> QuerySet[Miner]:
        if self.count == 1:
            return miners
        return miners.annotate(part=Mod(F("pk"), self.count)).filter(part=self.index)


WHOLE = Shard()


def job_name(site_code: str, shard: Shard) -> str:
    """The first part has the site's own name, so that a whole round and a first part never run beside each other."""
    return f"{JOB_PREFIX}{site_code}:{shard.index + 1}" if shard.index else f"{JOB_PREFIX}{site_code}"


@dataclass(frozen=True, slots=True)
class DueRound:
    """One task to enqueue."""

    site_code: str
    shard: Shard

    @property
    def job(self) -> str:
        return job_name(self.site_code, self.shard)


def shards_for(miner_count: int) -> list[Shard]:
    count = max(1, -(-miner_count // settings.POLL_SHARD_SIZE))
    return [Shard(index, count) for index in range(count)]


def shards_of(site: Site) -> list[Shard]:
    return shards_for(Miner.objects.polled(site).count())


def due_rounds(*, now: datetime) -> list[DueRound]:
    """The rounds whose site has entered its next interval since their last start; sites without an address to poll have none.

    Heartbeats of rounds that exist no longer are forgotten on the way.
    """
    planned = list(_planned_rounds())
    started = dict(JobLease.objects.filter(name__startswith=JOB_PREFIX).values_list("name", "started_at"))
    forget_jobs(JOB_PREFIX, keep=[planned_round.job for planned_round, _ in planned], now=now)
    return [each for each, interval_s in planned if _is_due(started.get(each.job), interval_s, now=now)]


def _planned_rounds() -> Iterator[tuple[DueRound, int]]:
    has_address = Q(miners__is_enabled=True) & ~Q(miners__ip_address="")
    counted = Site.objects.polled().annotate(polled_miners=Count("miners", filter=has_address)).filter(polled_miners__gt=0)
    for code, interval_s, miner_count in counted.order_by("code").values_list("code", "interval_seconds", "polled_miners"):
        for shard in shards_for(miner_count):
            yield DueRound(code, shard), interval_s


def _is_due(started_at: datetime | None, interval_s: int, *, now: datetime) -> bool:
    # By interval of the clock, not by time since the last start: a round that began late must not push the next ones.
    return started_at is None or round_number(now, interval_s) > round_number(started_at, interval_s)


def round_number(moment: datetime, interval_s: int) -> int:
    """A counter that grows by one each interval, the same on every machine."""
    return int(moment.timestamp()) // interval_s
