"""Make the daily partitions that readings of the next days need. Run at start and by schedule; PostgreSQL only."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from telemetry import partitions


class Command(BaseCommand):
    help = "Make the daily partitions of the next days, and turn tables that are not partitioned yet into partitioned ones (PostgreSQL)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not partitions.supported():
            self.stdout.write("Nothing to do: SQLite keeps plain tables.")
            return
        now = timezone.now()
        for table in partitions.PARTITIONED:
            if partitions.partition_table(table, now=now):
                self.stdout.write(f"{table}: is partitioned now")
        made = partitions.ensure(now)
        self.stdout.write(f"{len(made)} partitions made" if made else "All partitions are there.")
