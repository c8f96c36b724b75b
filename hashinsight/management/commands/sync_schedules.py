from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from hashinsight.schedules import sync
from resilience.leases import LeaseTaken, job_lease

LEASE_S = 30


class Command(BaseCommand):
    help = "Write the schedules of hashinsight/schedules.py to the database. Run after each migrate; running it again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with job_lease("sync_schedules", ttl_s=LEASE_S) as lease:
                report = sync(now=timezone.now())
                lease.result = f"{len(report.created)} created, {len(report.updated)} updated, {len(report.removed)} removed"
        except LeaseTaken as taken:
            self.stdout.write(f"{taken} It writes the same schedules.")
            return
        for verb in ("created", "updated", "removed", "unchanged"):
            for name in getattr(report, verb):
                self.stdout.write(f"{verb:<10}{name}")
        for name in report.refused:
            self.stderr.write(f"{name}: will be refused: its function is not in ALLOWED_CALLABLES. Delete it in the admin.")
