"""Remove what is older than its limit. The nightly schedule calls the same function."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from django.utils import timezone
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from telemetry.retention import PruneReport, prune

LIMITS = {
    "history_days": "readings",
    "rollup_5m_days": "roll-ups of five minutes",
    "rollup_1h_days": "roll-ups of an hour",
    "upload_log_days": "upload logs",
    "command_days": "expired and cancelled commands",
    "alert_days": "alerts that are over",
}


class Command(BaseCommand):
    help = "Remove readings, roll-ups, upload logs, commands and alerts that are older than their limits. Safe to stop and to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, what in LIMITS.items():
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, type=_days, metavar="DAYS", help=f"keep {what} this long (default: the setting)")
        parser.add_argument("--dry-run", action="store_true", help="count what would be removed, and remove nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        arguments = {"now": timezone.now(), "dry_run": dry_run, **{name: options[name] for name in LIMITS}}
        try:
            if self.stdout.isatty() and not dry_run:
                with Bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bars:
                    report = prune(progress=bars.show, **arguments)
            else:
                report = prune(**arguments)
        except OperationalError as error:
            if "lock" not in str(error) and "timeout" not in str(error):
                raise
            raise CommandError(f"The database did not let go: {error}. What is removed stays removed; run the command again.") from error
        self._show(report, verb="would remove" if dry_run else "removed")

    def _show(self, report: PruneReport, *, verb: str) -> None:
        for table, rows in report.rows.items():
            dropped = [name for name in report.partitions if name.startswith(table)]
            whole = f", {len(dropped)} whole partitions among them" if dropped else ""
            self.stdout.write(f"{table}: {verb} {rows:,} rows{whole}")


class Bars(Progress):
    """A progress bar for each table."""

    def show(self, table: str, done: int, total: int) -> None:
        known = next((task.id for task in self.tasks if task.description == table), None)
        bar: TaskID = self.add_task(table) if known is None else known
        self.update(bar, completed=done, total=total)


def _days(text: str) -> int:
    try:
        days = int(text)
    except ValueError:
        days = -1
    if days < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of days to keep: use 1 or more")
    return days
