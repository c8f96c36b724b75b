"""Kinds that are asked of this server: its jobs, its disk, its partitions, the services it asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models.functions import Coalesce
from pybreaker import STATE_CLOSED

from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.miner_kinds import threshold_of
from alerts.models import AlertRule
from market import quotes
from resilience.fallback import redis_trouble
from resilience.models import JobLease
from telemetry.headroom import days_made_ahead

MINUTE_JOBS = (
    "enqueue_polls",
    "roll_up",
    "gaps",
    "execute_commands",
    "advance_batches",
    "expire_commands",
    "verify_commands",
    "notify",
)
"""Jobs that end well each minute while the scheduler runs and nothing hangs."""


def scheduler_stopped(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Minutes since each job of every minute last ended well. One that never ran is not judged."""
    jobs = JobLease.objects.filter(name__in=MINUTE_JOBS)
    for name, last, error in jobs.values_list("name", Coalesce("succeeded_at", "started_at"), "error"):
        if last is None:
            continue
        value = max(0.0, (ground.now - last) / timedelta(minutes=1))
        verdict = Verdict.BAD if value >= threshold_of(rule) else Verdict.GOOD
        facts = {"note": error} if error and verdict is Verdict.BAD else {}
        yield Answer(subject=(None, name), verdict=verdict, value=float(int(value)), limit=threshold_of(rule), heard_at=last, facts=facts)


def disk_low(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """The share that is free of the disk under the data directory; with the size of the database where the server tells."""
    usage = shutil.disk_usage(settings.DATA_DIR)
    value, threshold = 100.0 * usage.free / usage.total, threshold_of(rule)
    verdict = Verdict.BAD if value < threshold else Verdict.GOOD if value >= threshold + rule.clear_margin else Verdict.BETWEEN
    facts = {"free_bytes": usage.free, "database_bytes": _database_bytes()} if verdict is Verdict.BAD else {}
    yield Answer(subject=(None, "data"), verdict=verdict, value=value, limit=threshold, heard_at=ground.now, facts=facts)


def _database_bytes() -> int | None:
    """None where the database is a file under the data directory, or elsewhere."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def partitions_low(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    threshold = threshold_of(rule)
    for table, days in days_made_ahead(ground.now).items():
        verdict = Verdict.BAD if days < threshold else Verdict.GOOD
        yield Answer(subject=(None, table), verdict=verdict, value=float(days), limit=threshold, heard_at=ground.now)


def breaker_open(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Breakers of market data, and the shared cache as this process sees it."""
    for provider, state in quotes.breakers().items() if settings.MARKET_DATA else ():
        yield Answer(subject=(None, provider), verdict=Verdict.GOOD if state == STATE_CLOSED else Verdict.BAD, heard_at=ground.now)
    if settings.REDIS_URL:
        trouble = redis_trouble()
        facts = {"note": trouble} if trouble else {}
        yield Answer(subject=(None, "redis"), verdict=Verdict.BAD if trouble else Verdict.GOOD, heard_at=ground.now, facts=facts)
