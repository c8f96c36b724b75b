"""The ledger of missing readings: when nothing came from a site or a miner, and why as far as that is known.

A gap begins at the last reading before it and ends at the first one after it. `update` runs every minute; late readings that the roll-ups
note (`note_late`) shorten, divide or remove the gaps they fall into. Gaps of numbered readings are kept by `sequence_gaps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from miners.models import STALE_INTERVALS, Miner
from sites.models import Site
from telemetry import sequence_gaps
from telemetry.models import CollectorUploadLog, MinerTelemetryHistory, MinerTelemetryLive, SiteRollup5m, TelemetryGap

OFFLINE_PATIENCE = timedelta(seconds=330)
"""A collector leaves an unreachable miner out of its uploads for up to 300 s; until then an offline reading still speaks for it."""
REPLAY_PAUSE = timedelta(minutes=11)
"""A collector sends a batch it kept every 300 s; two pauses without any and it is silent."""
BUCKET = timedelta(minutes=5)

log = structlog.get_logger(__name__)
Cause = TelemetryGap.Cause


@dataclass(slots=True)
class GapReport:
    """Gaps that `update` opened, ended and changed by late readings."""

    opened: int = 0
    ended: int = 0
    changed: int = 0


def update(now: datetime) -> GapReport:
    """Bring the ledger up to `now`. Doing it twice changes nothing."""
    report = GapReport()
    newest = dict(MinerTelemetryLive.objects.filter(miner__is_enabled=True).order_by().values_list("site").annotate(Max("timestamp")))
    for site in Site.objects.active().filter(pk__in=newest):
        with transaction.atomic():
            _update_site(site, newest[site.pk], now=now, report=report)
    sequence_gaps.update(now)
    log.info("gaps_updated", opened=report.opened, ended=report.ended, changed=report.changed)
    return report


def note_late(site_id: int, start: datetime, end: datetime) -> None:
    """Readings of the site arrived for the time from `start` to `end`: the gaps there are looked at again."""
    within = Q(started_at__lt=end, ended_at__gt=start, changed=False)
    TelemetryGap.objects.filter(within, site=site_id, collector=None).update(changed=True)


# --- What can be asked --------------------------------------------------------------------------------------------------------------


def of_site(site: Site, *, start: datetime, end: datetime) -> QuerySet[TelemetryGap]:
    """The times in which nothing came from the site at all, within the span or across its ends; oldest first."""
    return _in_span(start, end).filter(site=site, miner=None, collector=None)


def of_miner(miner: Miner, *, start: datetime, end: datetime) -> QuerySet[TelemetryGap]:
    """The miner's own gaps and those of its site."""
    return _in_span(start, end).filter(Q(miner=miner) | Q(miner=None, collector=None, site=miner.site_id))


def of_collectors(site: Site, *, start: datetime, end: datetime) -> QuerySet[TelemetryGap]:
    """What is missing of the numbered readings of the site's collectors; the times are those of the readings around."""
    return _in_span(start, end).filter(site=site, collector__isnull=False).select_related("collector")


def _in_span(start: datetime, end: datetime) -> QuerySet[TelemetryGap]:
    return TelemetryGap.objects.filter(Q(ended_at=None) | Q(ended_at__gt=start), started_at__lt=end).order_by("started_at")


def coverage(gaps: Iterable[TelemetryGap], *, start: datetime, end: datetime) -> float:
    """The share of the span, 0 to 1, that lies outside of all `gaps`."""
    missing, reached = timedelta(0), start
    for gap in sorted(gaps, key=lambda gap: gap.started_at):
        until = min(gap.ended_at or end, end)
        missing += max(timedelta(0), until - max(gap.started_at, reached))
        reached = max(reached, until)
    return 1 - missing / (end - start)


# --- Keeping it ---------------------------------------------------------------------------------------------------------------------


def _update_site(site: Site, newest: datetime, *, now: datetime, report: GapReport) -> None:
    patience = timedelta(seconds=STALE_INTERVALS * site.interval_seconds)
    gaps = TelemetryGap.objects.filter(site=site, collector=None)
    report.ended += _end_site_gap(gaps, site, newest, patience=patience) + _end_miner_gaps(gaps, patience=patience)
    for gap in gaps.filter(changed=True):
        _divide(gap, patience)
        report.changed += 1
    if now - newest > patience:
        report.opened += _open_site_gap(gaps, site, newest, now=now)
    else:
        report.opened += _open_miner_gaps(site, now=now, patience=patience)


def _end_site_gap(gaps: QuerySet[TelemetryGap], site: Site, newest: datetime, *, patience: timedelta) -> int:
    """Any reading after its beginning ends an open gap, a late one too: then the silence after it is the next gap."""
    gap = gaps.filter(miner=None, ended_at=None, started_at__lt=newest).first()
    if gap is None:
        return 0
    readings = MinerTelemetryHistory.objects.filter(miner__site=site, timestamp__gt=gap.started_at)
    return _end([(gap, readings.aggregate(first=Min("timestamp"))["first"] or newest)], patience=patience)


def _end_miner_gaps(gaps: QuerySet[TelemetryGap], *, patience: timedelta) -> int:
    readings = MinerTelemetryHistory.objects.filter(miner_id=OuterRef("miner_id"), timestamp__gt=OuterRef("started_at"))
    over = gaps.filter(miner__isnull=False, ended_at=None, miner__live__timestamp__gt=F("started_at"))
    first = Subquery(readings.order_by("timestamp").values("timestamp")[:1])
    ends = dict(over.annotate(first=Coalesce(first, "miner__live__timestamp")).values_list("pk", "first"))
    return _end([(gap, ends[gap.pk]) for gap in TelemetryGap.objects.filter(pk__in=ends)], patience=patience)


def _end(gaps: Sequence[tuple[TelemetryGap, datetime]], *, patience: timedelta) -> int:
    """End each gap; one that late readings left too short to be a gap goes."""
    for gap, ended_at in gaps:
        gap.ended_at = ended_at
    too_short = [gap.pk for gap, ended_at in gaps if ended_at - gap.started_at <= patience]
    TelemetryGap.objects.bulk_update([gap for gap, _ in gaps], ["ended_at"], batch_size=500)
    TelemetryGap.objects.filter(pk__in=too_short).delete()
    return len(gaps)


def _open_site_gap(gaps: QuerySet[TelemetryGap], site: Site, newest: datetime, *, now: datetime) -> int:
    cause = _cause_of_silence(site, newest, now=now)
    if gaps.filter(miner=None, ended_at=None).update(cause=cause):
        return 0
    gaps.create(site=site, started_at=newest, cause=cause)
    return 1


def _cause_of_silence(site: Site, newest: datetime, *, now: datetime) -> str:
    """The poller writes a reading of each miner whether it answers or not, so without any it did not run."""
    if site.collection == Site.Collection.SERVER:
        return Cause.POLLER_STOPPED
    uploads = CollectorUploadLog.objects.filter(site=site, upload_time__gt=max(newest, now - REPLAY_PAUSE), upload_time__lte=now)
    return Cause.SPOOL_REPLAYING if uploads.exists() else Cause.COLLECTOR_SILENT


def _open_miner_gaps(site: Site, *, now: datetime, patience: timedelta) -> int:
    silent = Q(online=True, timestamp__lt=now - patience) | Q(online=False, timestamp__lt=now - max(patience, OFFLINE_PATIENCE))
    rows = MinerTelemetryLive.objects.filter(silent, site=site, miner__is_enabled=True).exclude(
        miner__in=TelemetryGap.objects.filter(site=site, ended_at=None, miner__isnull=False).values("miner")
    )
    opened = [
        TelemetryGap(site=site, miner_id=miner, started_at=timestamp, cause=Cause.UNKNOWN if online else Cause.MINER_OFFLINE)
        for miner, timestamp, online in rows.values_list("miner", "timestamp", "online")
    ]
    TelemetryGap.objects.bulk_create(opened, ignore_conflicts=True)
    return len(opened)


def _divide(gap: TelemetryGap, patience: timedelta) -> None:
    """Put in the place of `gap` what its late readings leave of it."""
    if gap.ended_at is None:
        return
    left, reached = [], gap.started_at
    for start, end in [*_covered(gap, until=gap.ended_at), (gap.ended_at, gap.ended_at)]:
        if start - reached > patience:
            left.append(TelemetryGap(site_id=gap.site_id, miner_id=gap.miner_id, started_at=reached, ended_at=start, cause=gap.cause))
        reached = max(reached, end)
    gap.delete()
    TelemetryGap.objects.bulk_create(left)


def _covered(gap: TelemetryGap, *, until: datetime) -> list[tuple[datetime, datetime]]:
    """The times within `gap` that have readings, in order; of a site each five minutes in which there are any."""
    if gap.miner_id is None:
        buckets = SiteRollup5m.objects.filter(site=gap.site_id, bucket__gt=gap.started_at, bucket__lte=until - BUCKET, samples__gt=0)
        return [(bucket, bucket + BUCKET) for bucket in buckets.order_by("bucket").values_list("bucket", flat=True)]
    readings = MinerTelemetryHistory.objects.filter(miner_id=gap.miner_id, timestamp__gt=gap.started_at, timestamp__lt=until)
    return [(moment, moment) for moment in readings.order_by("timestamp").values_list("timestamp", flat=True)]
