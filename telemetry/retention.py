"""How long things are kept. One function prunes them all: the nightly schedule and the command both call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, models, transaction

from alerts.models import Alert
from commands.models import CommandBatch, CommandStatus, MinerCommand
from sites.models import CollectorEvent
from telemetry import partitions, rollups
from telemetry.models import (
    CollectorUploadLog,
    MinerRollup1h,
    MinerRollup5m,
    MinerTelemetryHistory,
    SiteRollup1h,
    SiteRollup5m,
    TelemetryGap,
)

ROWS_A_STEP = 5_000

log = structlog.get_logger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with the table's name, the rows that are gone and the rows there were to remove."""


@dataclass(slots=True)
class PruneReport:
    """Rows removed, or to be removed in a dry run, by table; partitions dropped whole count as many rows as the last ANALYZE saw."""

    rows: dict[str, int] = field(default_factory=dict)
    partitions: list[str] = field(default_factory=list)

    def add(self, table: str, rows: int) -> None:
        self.rows[table] = self.rows.get(table, 0) + rows


def silent(table: str, done: int, total: int) -> None:
    """Shows no progress."""


def prune(
    *,
    now: datetime,
    history_days: int | None = None,
    upload_log_days: int | None = None,
    command_days: int | None = None,
    alert_days: int | None = None,
    rollup_5m_days: int | None = None,
    rollup_1h_days: int | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> PruneReport:
    """Remove what is older than its limit: days, None for the setting. Readings and roll-ups go by whole UTC days.

    Each step commits by itself: killed at any moment, or run twice at once, it leaves nothing half done. Not inside a transaction.
    """
    report = PruneReport()
    if not dry_run:
        rollups.roll_up(now)  # raw readings go only after they are in the roll-ups
    for model, column, days in _readings(history_days, rollup_5m_days, rollup_1h_days):
        before = partitions.midnight((now - timedelta(days=days)).date())
        _prune_readings(model, column, before, report=report, dry_run=dry_run, progress=progress)
    logged_since = now - timedelta(days=_limit(upload_log_days, "UPLOAD_LOG"))
    logs = CollectorUploadLog.objects.filter(upload_time__lt=logged_since)
    events = CollectorEvent.objects.filter(received_at__lt=logged_since)
    long_ago = now - timedelta(days=_limit(command_days, "COMMAND"))
    finished = MinerCommand.objects.filter(status__in=(CommandStatus.EXPIRED, CommandStatus.CANCELLED), created_at__lt=long_ago)
    emptied = CommandBatch.objects.filter(created_at__lt=long_ago, commands=None)
    gaps = TelemetryGap.objects.filter(ended_at__lt=now - timedelta(days=_limit(rollup_1h_days, "ROLLUP_1H")))
    over = Alert.objects.filter(resolved_at__lt=now - timedelta(days=_limit(alert_days, "ALERT")))
    for rows in (logs, events, finished, emptied, gaps, over):
        _prune_rows(rows, report=report, dry_run=dry_run, progress=progress)
    log.info("telemetry_pruned", dry_run=dry_run, partitions=len(report.partitions), **report.rows)
    return report


def _limit(days: int | None, name: str) -> int:
    return getattr(settings, f"RETENTION_{name}_DAYS") if days is None else days


def _readings(history: int | None, five_minutes: int | None, hours: int | None) -> list[tuple[type[models.Model], str, int]]:
    """Tables of readings and roll-ups with their column of time and days to keep. Daily roll-ups stay for ever."""
    five_minutes, hours = _limit(five_minutes, "ROLLUP_5M"), _limit(hours, "ROLLUP_1H")
    return [
        (MinerTelemetryHistory, "timestamp", _limit(history, "HISTORY")),
        (MinerRollup5m, "bucket", five_minutes),
        (SiteRollup5m, "bucket", five_minutes),
        (MinerRollup1h, "bucket", hours),
        (SiteRollup1h, "bucket", hours),
    ]


def _prune_readings(
    model: type[models.Model], column: str, before: datetime, *, report: PruneReport, dry_run: bool, progress: Progress
) -> None:
    table = model._meta.db_table
    if partitions.supported() and table in partitions.PARTITIONED:
        _drop_partitions(table, before, report=report, dry_run=dry_run, progress=progress)
    if dry_run:
        return report.add(table, _count(table, column, before, beside=report.partitions))
    total = _count(table, column, before) if progress is not silent else 0
    removed = 0
    while step := _delete_step(table, column, before):
        removed += step
        progress(table, removed, max(total, removed))
    return report.add(table, removed)


def _drop_partitions(table: str, before: datetime, *, report: PruneReport, dry_run: bool, progress: Progress) -> None:
    with partitions.sole_dropper(table) as mine:
        if not mine:
            log.info("prune_elsewhere", table=table)
            return
        outdated = partitions.outdated(table, before)
        for number, partition in enumerate(outdated, start=1):
            rows = partitions.row_count(partition)
            if not dry_run:
                partitions.drop(table, partition)
                progress(table, number, len(outdated))
            report.partitions.append(partition.name)
            report.add(table, rows)


def _count(table: str, column: str, before: datetime, beside: Sequence[str] = ()) -> int:
    """Rows older than `before`, those in the partitions `beside` left out."""
    outside = " AND tableoid::regclass::text <> ALL(%s)" if beside else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE {column} < %s{outside}", [before, *([list(beside)] if beside else [])])
        return int(cursor.fetchone()[0])


def _delete_step(table: str, column: str, before: datetime) -> int:
    """Delete some of the rows older than `before`; rows that another run is deleting are left to it."""
    row, lock = ("tableoid, ctid", "FOR UPDATE SKIP LOCKED") if connection.vendor == "postgresql" else ("rowid", "")
    old = f"{column} < %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE {old} AND ({row}) IN (SELECT {row} FROM {table} WHERE {old} LIMIT {ROWS_A_STEP} {lock})",
            [before, before],
        )
        return int(cursor.rowcount)


def _prune_rows(rows: models.QuerySet[Any], *, report: PruneReport, dry_run: bool, progress: Progress) -> None:
    """Remove `rows` in steps, with whatever hangs on them."""
    table, total = rows.model._meta.db_table, rows.count()
    removed = 0
    while not dry_run and removed < total:
        with transaction.atomic():
            keys = list(rows.order_by("pk").select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:ROWS_A_STEP])
            rows.model._default_manager.filter(pk__in=keys).delete()
        if not keys:
            break
        removed += len(keys)
        progress(table, removed, total)
    report.add(table, total if dry_run else removed)
