from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from miners.management.tables import table
from resilience.leases import LeaseTaken
from sites.management.sites import site_by_code
from sites.models import Site
from telemetry.poll_plan import shards_of
from telemetry.poll_report import PollReport
from telemetry.poller import poll_site

COLUMNS = ("site", "part", "polled", "online", "offline", "skipped", "missed", "stored", "errors", "seconds")


class Command(BaseCommand):
    help = "Poll miners once, now: those of one site, or of every site that this server polls. The schedule does the same each minute."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site", metavar="CODE", help="only this site")
        parser.add_argument("--json", action="store_true", help="print the result as JSON, alone on standard output")

    def handle(self, *, site: str | None, json: bool, **options: Any) -> None:
        sites = [_polled_site(site)] if site else list(Site.objects.polled())
        reports: list[PollReport] = []
        refused: list[dict[str, str]] = []
        for each in sites:
            for shard in shards_of(each):
                try:
                    reports.append(poll_site(each, now=timezone.now(), shard=shard))
                except LeaseTaken as taken:
                    refused.append({"site_id": each.code, "shard": str(shard), "reason": str(taken)})
        if json:
            self._write_json(reports, refused)
        else:
            self._write_table(reports, refused)

    def _write_json(self, reports: list[PollReport], refused: list[dict[str, str]]) -> None:
        self.stdout.write(json.dumps({"rounds": [report.as_dict() for report in reports], "not_polled": refused}, indent=2))

    def _write_table(self, reports: list[PollReport], refused: list[dict[str, str]]) -> None:
        if reports:
            self.stdout.write(table(COLUMNS, [_row(report) for report in reports]))
        for each in refused:
            self.stdout.write(each["reason"])
        if not reports and not refused:
            self.stdout.write("No site is polled by this server: set “readings come from” of a site in the admin.")


def _polled_site(code: str) -> Site:
    site = site_by_code(code)
    if not Site.objects.polled().contains(site):
        raise CommandError(
            f"Site '{site.code}' is not polled by this server: it is switched off, or its readings come from a collector. "
            "Both are set in the admin."
        )
    return site


def _row(report: PollReport) -> tuple[object, ...]:
    errors = ", ".join(f"{count} {name}" for name, count in report.errors.most_common())
    numbers = (report.polled, report.online, report.offline, report.skipped, report.not_reached, report.stored)
    return (report.site_id, report.shard, *numbers, errors, f"{report.duration_ms / 1000:.1f}")
