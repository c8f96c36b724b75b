"""Lists the collector keys of all sites, or of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sites.management.sites import site_by_code
from sites.models import CollectorKey


class Command(BaseCommand):
    help = "Show the collector keys: id, site, how the key begins, state, last use, name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", metavar="CODE", help="only this site's keys")

    def handle(self, *, site: str | None, **options: Any) -> None:
        keys = CollectorKey.objects.select_related("site")
        if site:
            keys = keys.filter(site=site_by_code(site))
        for key in keys:
            used = _moment(key.last_used_at) or "never used"
            self.stdout.write(f"{key.pk:>6}  {key.site.code:<20} {key.prefix}…  {key.state:<8} {used:<17} {key.name}")
        if not keys:
            self.stderr.write("There are no collector keys: make one with create_collector_key.")


def _moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if value else ""
