from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from miners.catalogue import add_missing_models
from miners.inventory import ImportPlan, apply_import, plan_import
from miners.inventory_file import RowError, UnreadableFile, read_table
from sites.management.sites import OR_CREATE, site_by_code
from sites.models import Site

MOST_ERRORS_SHOWN = 100
MOST_NOTES_SHOWN = 10


class Command(BaseCommand):
    help = (
        "Load an inventory from CSV: miner_id, ip_address, port, and optionally model, serial, mac, worker, zone, rack, slot. "
        "Miners that are there already are updated; an empty cell leaves a value as it is. Rows with errors are reported and left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", help="UTF-8, comma, semicolon or tab; - reads standard input")
        parser.add_argument("--site", required=True, metavar="CODE")
        parser.add_argument("--create-site", action="store_true", help="make the site when there is none with this code")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        site = _site(options["site"], may_create=options["create_site"])
        try:
            table = read_table(_content(options["file"]))
        except UnreadableFile as error:
            raise CommandError(f"{options['file']}: {error}") from error
        add_missing_models()  # a database that was migrated and never started has no models to match with
        plan = plan_import(site, table)
        if not options["dry_run"]:
            apply_import(plan)
        self._report(plan, would="would be " if options["dry_run"] else "")
        if plan.errors:
            raise CommandError(f"{plan.refused_rows} rows left out. Correct them and import the file again.")

    def _report(self, plan: ImportPlan, *, would: str) -> None:
        if plan.ignored_columns:
            self.stderr.write(f"Columns not used: {', '.join(plan.ignored_columns)}.")
        self._list(plan.notes, most=MOST_NOTES_SHOWN, what="notes")
        self._list(plan.errors, most=MOST_ERRORS_SHOWN, what="errors")
        counts = f"{len(plan.create)} miners {would}added, {len(plan.update)} {would}updated, {plan.unchanged} unchanged"
        self.stdout.write(f"Site {plan.site.code}: {counts}.")

    def _list(self, found: list[RowError], *, most: int, what: str) -> None:
        for item in found[:most]:
            self.stderr.write(str(item))
        if len(found) > most:
            self.stderr.write(f"… and {len(found) - most:,} more {what}.")


def _site(code: str, *, may_create: bool) -> Site:
    site = Site.objects.filter(code=code).first()
    if site:
        return site
    if not may_create:
        return site_by_code(code, otherwise=OR_CREATE)  # says which sites there are
    site = Site(code=code, name=code)
    try:
        site.full_clean()
    except ValidationError as error:
        raise CommandError(f"--site {code}: {' '.join(error.messages)}") from error
    return site


def _content(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}. Give the path of a CSV file.") from error
