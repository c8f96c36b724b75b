"""`manage.py qcluster`: django-q2's cluster, guarded. Replaces the command of the same name."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from hashinsight.cluster import ClusterBroken, run_cluster


class Command(BaseCommand):
    help = "Run the background workers in the foreground, until Ctrl-C. `manage.py up` does this for you and restarts them."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run_cluster()
        except ClusterBroken:
            sys.exit(1)  # it was logged with its reason
