"""Kinds that are asked of a site as a whole: is it heard of, how much of it, and did it change at once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from statistics import median

from django.conf import settings
from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Coalesce

from alerts.evaluation import explanations
from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.miner_kinds import threshold_of
from alerts.models import AlertRule, Condition, RuleKind
from resilience.models import JobLease
from sites.models import Collector, Site
from telemetry.models import CollectorUploadLog, SiteRollup5m
from telemetry.poll_plan import JOB_PREFIX

BUCKET = timedelta(minutes=5)
COVERAGE_BUCKETS = 12
REFERENCE_BUCKETS = 6
"""What a site's hash rate or power was before: the median of half an hour."""
SAME_MINERS = 0.9
"""A bucket in which fewer of the miners were heard than before says nothing of a step: its sum is short of those."""
COLLECTOR = "collector "
"""What the subject of one collector begins with."""
CLOCK_WINDOW = timedelta(minutes=15)
_AHEAD = re.compile(r"timestamp is (\d+) s ahead")


def collector_silent(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Nothing came in for so many intervals, from a site or from one of its collectors. One that never sent anything is not judged."""
    sites = [site for site in ground.watched_sites(rule) if site.collection == Site.Collection.COLLECTOR]
    uploads = CollectorUploadLog.objects.filter(site__in=sites, upload_time__gte=ground.now - timedelta(hours=1))
    last_upload = dict(uploads.order_by().values_list("site").annotate(Max("upload_time")))
    for site in sites:
        heard = [moment for moment in (last_upload.get(site.pk), ground.received_at.get(site.pk)) if moment]
        yield _by_age(site, max(heard, default=None), interval_s=site.interval_seconds, rule=rule, now=ground.now)
    for collector in ground.collectors:
        if collector.site_id in {site.pk for site in sites}:
            yield _of_collector(collector, rule, ground)


def _of_collector(collector: Collector, rule: AlertRule, ground: Ground) -> Answer:
    """One collector of several, by its heartbeats. While the whole site is silent, the site's own alert says it."""
    quiet, limit = ground.quiet_intervals(collector), threshold_of(rule)
    verdict = Verdict.BAD if quiet >= limit else Verdict.GOOD
    if collector.site_id in ground.silent_sites:
        verdict = Verdict.STALE
    subject = (collector.site_id, f"{COLLECTOR}{collector}"[:120])
    return Answer(subject=subject, verdict=verdict, value=float(int(quiet)), limit=limit, heard_at=collector.heartbeat_at)


def poller_stopped(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """No good round for so many intervals, of the part of the site that is worst off. Before its first round a site is not judged."""
    rounds: dict[str, list[datetime]] = defaultdict(list)
    for name, last in JobLease.objects.filter(name__startswith=JOB_PREFIX).values_list("name", Coalesce("succeeded_at", "started_at")):
        if last is not None:
            rounds[name.removeprefix(JOB_PREFIX).partition(":")[0]].append(last)
    for site in ground.watched_sites(rule):
        if site.collection != Site.Collection.SERVER or site.pk not in ground.read_at:
            continue
        last = min(rounds[site.code], default=None)
        longest_s = max(site.interval_seconds, settings.POLL_DEADLINE_S)
        yield _by_age(site, last, interval_s=longest_s, rule=rule, now=ground.now)


def _by_age(site: Site, last: datetime | None, *, interval_s: int, rule: AlertRule, now: datetime) -> Answer:
    answer = Answer(subject=(site.pk, ""), verdict=Verdict.STALE, limit=threshold_of(rule), heard_at=last)
    if last is not None:
        answer.value = (now - last) / timedelta(seconds=interval_s)
        answer.verdict = Verdict.BAD if answer.value >= threshold_of(rule) else Verdict.GOOD
        answer.value = float(int(answer.value))
    return answer


def clock_skew(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Seconds by which a collector's clock is off by its heartbeat, or its readings came ahead of time: the worst of 15 minutes."""
    threshold, sites = threshold_of(rule), ground.watched_sites(rule)
    ahead: dict[int, float] = {}
    uploads = CollectorUploadLog.objects.filter(site__in=sites, upload_time__gte=ground.now - CLOCK_WINDOW, processed__gt=0)
    future = Q(newest_reading_at__gt=F("upload_time")) | Q(error_count__gt=0)
    for site, count in uploads.order_by().values_list("site").annotate(Count("pk")):
        ahead[site] = 0.0 if count else ahead.get(site, 0.0)
    for upload in uploads.filter(future).only("site_id", "upload_time", "newest_reading_at", "errors"):
        ahead[upload.site_id] = max(ahead[upload.site_id], _seconds_ahead(upload))
    for collector in ground.collectors:
        if collector.clock_offset_ms is not None and ground.now - (collector.heartbeat_at or ground.now) <= CLOCK_WINDOW:
            ahead[collector.site_id] = max(ahead.get(collector.site_id, 0.0), abs(collector.clock_offset_ms) / 1000)
    for site in sites:
        value = ahead.get(site.pk)
        verdict = Verdict.STALE
        if value is not None:
            verdict = Verdict.BAD if value >= threshold else Verdict.GOOD if value < threshold - rule.clear_margin else Verdict.BETWEEN
        if site.collection == Site.Collection.COLLECTOR:
            yield Answer(subject=(site.pk, ""), verdict=verdict, value=value, limit=threshold)


def _seconds_ahead(upload: CollectorUploadLog) -> float:
    """Ingest stores what is far ahead at the time of receipt and says by how much; what is a little ahead it stores as it came."""
    told = [int(found[1]) for error in upload.errors if (found := _AHEAD.match(str(error.get("reason", ""))))]
    newest = upload.newest_reading_at
    shown = (newest - upload.upload_time).total_seconds() if newest else 0.0
    return max([*told, shown, 0.0])


def coverage_low(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Readings of the last hour, of those that the site's interval asks for, in the five minutes in which any came at all.

    A silence of the whole site has its own alert, and so have miners that are away: neither is counted here.
    """
    threshold, end = threshold_of(rule), _last_closed(ground.now)
    sites = ground.watched_sites(rule)
    rows = SiteRollup5m.objects.filter(site__in=sites, bucket__gt=end - COVERAGE_BUCKETS * BUCKET, bucket__lte=end)
    sums = {site: (samples, expected) for site, samples, expected in rows.values_list("site").annotate(Sum("samples"), Sum("expected"))}
    silent = ground.silent_sites
    short = any(samples * 100 < expected * (threshold + rule.clear_margin) for samples, expected in sums.values())
    away = _share_away(ground) if short else {}
    for site in sites:
        samples, expected = sums.get(site.pk, (0, 0))
        owed = expected * (1 - away.get(site.pk, 0.0))
        answer = Answer(subject=(site.pk, ""), verdict=Verdict.STALE, limit=threshold)
        if owed >= 1 and site.pk not in silent:
            answer.value = min(100.0, 100.0 * samples / owed)
            good = answer.value >= threshold + rule.clear_margin
            answer.verdict = Verdict.BAD if answer.value < threshold else Verdict.GOOD if good else Verdict.BETWEEN
        yield answer


def _share_away(ground: Ground) -> dict[int, float]:
    """The share of each site's miners that are offline or were a moment ago."""
    totals = dict(ground.all_miners().order_by().values_list("site").annotate(Count("pk")))
    gone = Condition.objects.filter(rule__kind=RuleKind.MINER_OFFLINE, miner__is_enabled=True)
    counts = gone.order_by().values_list("miner__site").annotate(Count("miner", distinct=True))
    return {site: count / totals[site] for site, count in counts if totals.get(site)}


def hashrate_step(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """By how much less a site hashes than in the half hour before, beside what is missing of miners that explain it themselves."""

    @cache
    def explained() -> dict[int, float]:
        return explanations.missing_hashrate(ground)

    def change(site: int, before: float, last: float) -> float:
        return before - last - explained().get(site, 0.0) if before - last > 0 else 0.0

    return _steps(rule, ground, "hashrate_ghs_avg", change)


def power_step(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """By how much a site's power differs from that of the half hour before, up or down, beside what miners explain themselves."""

    @cache
    def explained(*, up: bool) -> dict[int, float]:
        return explanations.returned_power(ground) if up else explanations.missing_power(ground)

    def change(site: int, before: float, last: float) -> float:
        return abs(before - last) - explained(up=last > before).get(site, 0.0)

    return _steps(rule, ground, "power_consumption_avg", change)


def _steps(rule: AlertRule, ground: Ground, column: str, change: Callable[[int, float, float], float]) -> Iterator[Answer]:
    """The change of each site from the half hour before to the last closed five minutes. Of a site too little is known of, what holds
    stays as it is."""
    threshold, sites = threshold_of(rule), ground.watched_sites(rule)
    levels = _levels([site.pk for site in sites if site.pk not in ground.silent_sites], column, _last_closed(ground.now))
    for site in sites:
        answer = Answer(subject=(site.pk, ""), verdict=Verdict.STALE, limit=threshold)
        if site.pk in levels:
            before, last = levels[site.pk]
            plain = 100.0 * abs(before - last) / before
            # What explains a change is asked for only where there is one worth explaining.
            answer.value = plain if plain < threshold - rule.clear_margin else 100.0 * max(0.0, change(site.pk, before, last)) / before
            good = answer.value < threshold - rule.clear_margin
            answer.verdict = Verdict.BAD if answer.value >= threshold else Verdict.GOOD if good else Verdict.BETWEEN
        yield answer


def _levels(sites: list[int], column: str, end: datetime) -> dict[int, tuple[float, float]]:
    """By site the value before and the last one, where both are known."""
    points: dict[int, dict[datetime, tuple[float | None, float]]] = defaultdict(dict)
    rows = SiteRollup5m.objects.filter(site__in=sites, bucket__gte=end - REFERENCE_BUCKETS * BUCKET, bucket__lte=end)
    for site, bucket, value, miners in rows.values_list("site", "bucket", column, "miners"):
        points[site][bucket] = (value, miners)
    levels = {}
    for site, found in points.items():
        last, miners = found.pop(end, (None, 0.0))
        earlier = [(value, heard) for value, heard in found.values() if value]
        enough = len(earlier) >= REFERENCE_BUCKETS // 2
        if last is not None and enough and miners >= SAME_MINERS * median(heard for _, heard in earlier):
            levels[site] = (median(value for value, _ in earlier), last)
    return levels


def _last_closed(now: datetime) -> datetime:
    """The beginning of the last five minutes that are over, and whose readings had a minute to come in."""
    return now - BUCKET - timedelta(minutes=1) - (now - timedelta(minutes=1) - datetime(2000, 1, 1, tzinfo=now.tzinfo)) % BUCKET
