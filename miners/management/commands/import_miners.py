from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from miners.catalogue import add_missing_models
from miners.inventory import ImportPlan, apply_import, plan_import
from miners.inventory_file import RowError, UnreadableFile, read_table
from sites.management.sites import OR_CREATE, site_by_code, unsaved_site

MOST_ERRORS_SHOWN = 100
MOST_NOTES_SHOWN = 10


class Command(BaseCommand):
    help = (
        "Load an inventory from CSV or XLSX: miner_id, ip_address, port, and optionally model, serial, mac, worker, zone, rack, slot. "
        "Miners that are there already are updated; an empty cell leaves a value as it is. Rows with errors are reported and left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="XLSX, or CSV in UTF-8 with comma, semicolon or tab; - reads standard input")
        parser.add_argument("--site", required=True, metavar="CODE")
        parser.add_argument("--create-site", action="store_true", help="make the site when there is none with this code")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        code = options["site"]
        site = unsaved_site(code) if options["create_site"] else site_by_code(code, otherwise=OR_CREATE)
        try:
            table = read_table(_content(options["file"]))
        except UnreadableFile as error:
            raise CommandError(f"{options['file']}: {error}") from error
        add_missing_models()  # a database that was migrated and never started has no models to match with
        plan = plan_import(site, table)
        if not options["dry_run"]:
            with transaction.atomic():
                apply_import(plan, reason=f"import_miners {Path(options['file']).name}")
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


def _content(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}. Give the path of a CSV or XLSX file.") from error
