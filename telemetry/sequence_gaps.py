"""Brings the numbers that collectors give their readings into the ledger of gaps, each minute; an upload only marks its log.

A hole is "still being sent" while the collector may have it: until a heartbeat says that nothing as old waits any more. Then it is lost,
unless the collector said that it dropped it. A collector without heartbeats gets REPLAY_AT_MOST, the time installed agents keep a batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from sites.collectors import TooManyCollectors, collector_of
from sites.models import Collector, CollectorEvent, Site
from telemetry.models import CollectorSequence, CollectorUploadLog, TelemetryGap
from telemetry.records import RecordRefused
from telemetry.repairs import moment
from telemetry.sequences import HOLES_AT_MOST, Hole, Numbers

UPLOADS_A_RUN = 20_000
EVENTS_A_RUN = 20_000
REPLAY_AT_MOST = timedelta(hours=24)
RESTART_MARGIN = timedelta(seconds=10)
"""Readings so much newer than the highest number's, with lower numbers: the numbering has started again."""

log = structlog.get_logger(__name__)
Cause = TelemetryGap.Cause


def update(now: datetime) -> None:
    """Take note of numbered uploads and of what was dropped since the last time, then judge what is still missing."""
    uploads = CollectorUploadLog.objects.filter(sequence_due=True).order_by("pk")[:UPLOADS_A_RUN]
    by_collector: dict[tuple[int, str, str], list[CollectorUploadLog]] = defaultdict(list)
    for upload in uploads.only("pk", "site", "device_id", "zone_id", "upload_time", "oldest_reading_at", "newest_reading_at", *_NUMBERS):
        by_collector[upload.site_id, upload.device_id, upload.zone_id].append(upload)
    for (site_id, device_id, zone_id), found in by_collector.items():
        _note_uploads(site_id, found, device_id=device_id, zone_id=zone_id)
    _note_events()
    _judge(now)


_NUMBERS = ("sequence_start", "sequence_end", "sequence_epoch")


# --- What arrived -------------------------------------------------------------------------------------------------------------------


@transaction.atomic
def _note_uploads(site_id: int, uploads: list[CollectorUploadLog], *, device_id: str, zone_id: str) -> None:
    try:
        collector = collector_of(Site.objects.get(pk=site_id), device_id=device_id, zone_id=zone_id)
    except TooManyCollectors as error:
        log.warning("sequence_not_kept", site_id=site_id, device_id=device_id, reason=str(error))
    else:
        state, numbers = _load(collector)
        for upload in sorted(uploads, key=lambda upload: (upload.upload_time, upload.pk)):
            numbers = _note_upload(state, numbers, upload)
        _save(state, numbers)
    CollectorUploadLog.objects.filter(pk__in=[upload.pk for upload in uploads]).update(sequence_due=False)


def _note_upload(state: CollectorSequence, numbers: Numbers, upload: Any) -> Numbers:
    """The numbers after `upload`; new ones when its collector has started again."""
    start, end = upload.sequence_start, upload.sequence_end
    oldest_at = upload.oldest_reading_at or upload.upload_time
    newest_at = upload.newest_reading_at or upload.upload_time
    if not 0 <= start <= end:
        return numbers
    if upload.sequence_epoch and state.epoch_id and upload.sequence_epoch != state.epoch_id:
        if numbers.highest_at is not None and oldest_at < numbers.highest_at:
            return numbers  # a straggler of an older numbering
        numbers = _start_again(state, numbers)
    elif not upload.sequence_epoch and _has_started_again(numbers, end, oldest_at):
        numbers = _start_again(state, numbers)
    state.epoch_id = upload.sequence_epoch or state.epoch_id
    numbers.arrived(start, end, oldest_at=oldest_at, newest_at=newest_at)
    return numbers


def _has_started_again(numbers: Numbers, end: int, oldest_at: datetime) -> bool:
    """Numbers grow with time: a lower one on newer readings is of a new numbering (a reinstalled collector begins at 1)."""
    if numbers.highest is None or numbers.highest_at is None:
        return False
    return end <= numbers.highest and oldest_at > numbers.highest_at + RESTART_MARGIN


def _start_again(state: CollectorSequence, numbers: Numbers) -> Numbers:
    """What the older numbering still misses stays in the ledger as it is: nothing can fill it."""
    _save(state, numbers)
    TelemetryGap.objects.filter(collector=state.collector_id, epoch=state.epoch, cause=Cause.SPOOL_REPLAYING).update(
        cause=Cause.SEQUENCE_MISSING
    )
    log.info("sequence_started_again", collector=state.collector_id, highest=numbers.highest)
    state.epoch, state.epoch_id = state.epoch + 1, ""
    return Numbers()


# --- What was dropped ---------------------------------------------------------------------------------------------------------------


def _note_events() -> None:
    by_collector: dict[int, list[CollectorEvent]] = defaultdict(list)
    for event in CollectorEvent.objects.filter(is_due=True).order_by("pk")[:EVENTS_A_RUN]:
        by_collector[event.collector_id].append(event)
    for collector in Collector.objects.filter(pk__in=by_collector):
        _note_drops(collector, by_collector[collector.pk])


@transaction.atomic
def _note_drops(collector: Collector, events: list[CollectorEvent]) -> None:
    state, numbers = _load(collector)
    unnumbered = []
    for event in sorted(events, key=lambda event: event.at):
        said = event.details
        from_at, to_at = sorted((_moment(said.get("from")) or event.at, _moment(said.get("to")) or event.at))
        start, end = _whole(said.get("seq_start")), _whole(said.get("seq_end"))
        if start is not None and end is not None and start <= end:
            numbers.dropped(start, end, from_at=from_at, to_at=to_at)
        else:
            unnumbered.append((from_at, to_at, _whole(said.get("records"))))
    _save(state, numbers)
    room = max(0, HOLES_AT_MOST - TelemetryGap.objects.filter(collector=collector, sequence_start=None).count())
    TelemetryGap.objects.bulk_create(
        TelemetryGap(
            site_id=collector.site_id, collector=collector, started_at=from_at, ended_at=to_at, cause=Cause.DROPPED, records=records
        )
        for from_at, to_at, records in unnumbered[:room]
    )
    CollectorEvent.objects.filter(pk__in=[event.pk for event in events]).update(is_due=False)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _moment(value: Any) -> datetime | None:
    """An unreadable time is missing: the event's own stands for it."""
    try:
        time = moment(value)
        return time and (time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
    except (RecordRefused, OverflowError):
        return None


# --- What is still missing ----------------------------------------------------------------------------------------------------------


def _judge(now: datetime) -> None:
    """Holes that nobody can fill any more are lost."""
    waiting = TelemetryGap.objects.filter(collector__isnull=False, cause=Cause.SPOOL_REPLAYING)
    lost = [gap.pk for gap in waiting.select_related("collector").iterator() if _is_lost(gap, gap.collector, now=now)]
    for first in range(0, len(lost), 500):
        TelemetryGap.objects.filter(pk__in=lost[first : first + 500]).update(cause=Cause.SEQUENCE_MISSING)
    if lost:
        log.warning("sequence_lost", gaps=len(lost))


def _is_lost(gap: TelemetryGap, collector: Collector | None, *, now: datetime) -> bool:
    """Judged by the collector's own clock, on which its readings and its heartbeats both are."""
    if gap.ended_at is None or collector is None:
        return False
    if collector.sent_at is None or collector.spool_records is None:
        return now - gap.ended_at > REPLAY_AT_MOST
    # A round is read, then kept, then sent: so a heartbeat tells of it only when it is an interval younger.
    if collector.sent_at - timedelta(seconds=collector.interval_seconds) <= gap.ended_at:
        return False
    return collector.spool_records == 0 or (collector.spool_oldest_at is not None and collector.spool_oldest_at >= gap.ended_at)


# --- Rows ---------------------------------------------------------------------------------------------------------------------------


def _load(collector: Collector) -> tuple[CollectorSequence, Numbers]:
    state = CollectorSequence.objects.filter(pk=collector.pk).first() or CollectorSequence(collector=collector)
    gaps = TelemetryGap.objects.filter(collector=collector, epoch=state.epoch).order_by("sequence_start")
    return state, Numbers(state.lowest, state.lowest_at, state.highest, state.highest_at, [_hole_of(gap) for gap in gaps])


def _hole_of(gap: Any) -> Hole:
    return Hole(
        start=gap.sequence_start,
        end=gap.sequence_end,
        from_at=gap.started_at,
        to_at=gap.ended_at,
        missing=gap.records,
        is_dropped=gap.cause == Cause.DROPPED,
        row=gap.pk,
    )


def _save(state: CollectorSequence, numbers: Numbers) -> None:
    """Write how far it has come, and make the collector's gaps of this epoch those that `numbers` has."""
    state.lowest, state.lowest_at, state.highest, state.highest_at = numbers.lowest, numbers.lowest_at, numbers.highest, numbers.highest_at
    state.save()
    rows = {gap.pk: gap for gap in TelemetryGap.objects.filter(collector=state.collector_id, epoch=state.epoch)}
    kept = {hole.row: hole for hole in numbers.holes if hole.row is not None}
    TelemetryGap.objects.filter(pk__in=rows.keys() - kept.keys()).delete()
    changed = [rows[row] for row, hole in kept.items() if _describe(rows[row], hole)]
    TelemetryGap.objects.bulk_update(
        changed, ["started_at", "ended_at", "sequence_start", "sequence_end", "records", "cause"], batch_size=200
    )
    TelemetryGap.objects.bulk_create(_new_rows(state, (hole for hole in numbers.holes if hole.row is None)))


def _describe(gap: TelemetryGap, hole: Hole) -> bool:
    """Make `gap` say what `hole` is; whether that changed anything. A gap that was judged stays judged."""
    cause = Cause.DROPPED if hole.is_dropped else gap.cause if gap.cause != Cause.DROPPED else Cause.SPOOL_REPLAYING
    times = sorted((hole.from_at, hole.to_at))
    said = {
        "started_at": times[0],
        "ended_at": times[1],
        "sequence_start": hole.start,
        "sequence_end": hole.end,
        "records": hole.missing,
        "cause": cause,
    }
    changed = any(getattr(gap, name) != value for name, value in said.items())
    for name, value in said.items():
        setattr(gap, name, value)
    return changed


def _new_rows(state: CollectorSequence, holes: Iterable[Hole]) -> list[TelemetryGap]:
    made = []
    for hole in holes:
        gap = TelemetryGap(site_id=state.collector.site_id, collector_id=state.collector_id, epoch=state.epoch, cause=Cause.SPOOL_REPLAYING)
        _describe(gap, hole)
        made.append(gap)
    return made
