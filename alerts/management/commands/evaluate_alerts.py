"""Evaluate the alert rules once, now. The schedule does the same each minute; a timer beside it notices when the schedule stands still."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from alerts.tasks import evaluate


class Command(BaseCommand):
    help = "Evaluate all alert rules once and tell people what is new. Safe beside the schedule: one run at a time."

    def handle(self, *args: Any, **options: Any) -> None:
        line = evaluate()
        if "failed:" in line:
            raise CommandError(line)
        self.stdout.write(line)
