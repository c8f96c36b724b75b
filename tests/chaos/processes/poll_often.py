"""Puts a poll round of the site in the cluster's queue every few seconds: the schedule's own work, more often than each minute."""

from __future__ import annotations

import sys
import time

import django
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

EVERY_S = 2.0


def main(site_code: str) -> None:
    from django_q.tasks import async_task

    while True:
        try:
            async_task("telemetry.tasks.poll_site_task", site_code, enqueued_at=timezone.now().isoformat(), group="poll")
        except (DatabaseError, InterfaceError):
            connection.close()
        time.sleep(EVERY_S)


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1])
