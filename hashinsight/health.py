"""Whether this server lives, and whether it is ready to work: for load balancers, supervisors and monitoring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.models import Schedule

from miners.models import Miner
from resilience.fallback import redis_trouble
from resilience.models import JobLease
from sites.models import Site

SCHEDULER_GRACE = timedelta(minutes=3)
"""The minute schedules move on each minute; later than this, nobody moves them."""
POLL_INTERVALS = 3
PROBE = "health-probe"
DEGRADED = "degraded: "
"""What a reason begins with that does not keep the server from working."""


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers; asks nothing of the database."""
    return JsonResponse({"success": True, "status": "ok"})


def liveness_first(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware before all others: a load balancer asks by address, with a Host that is in no ALLOWED_HOSTS and without TLS."""

    def answer(request: HttpRequest) -> HttpResponse:
        return live(request) if request.path_info.rstrip("/") == "/health" else get_response(request)

    return answer


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 when everything works, 503 with the reasons when not; "degraded" with 200 when something is away that it can do without."""
    checks = readiness(now=timezone.now())
    reasons = [f"{name}: {reason}" for name, reason in checks.items() if reason and not reason.startswith(DEGRADED)]
    degraded = any(reason.startswith(DEGRADED) for reason in checks.values())
    body = {
        "success": not reasons,
        "status": "unavailable" if reasons else "degraded" if degraded else "ok",
        "checks": {name: reason or "ok" for name, reason in checks.items()},
    }
    if reasons:
        body["error"] = "; ".join(reasons)
    return JsonResponse(body, status=503 if reasons else 200)


def readiness(*, now: datetime) -> dict[str, str]:
    """What is wrong with each part, "" where nothing is. Without a database nothing else can be told."""
    checks: dict[str, Callable[[datetime], str]] = {
        "database": _database,
        "migrations": _migrations,
        "cache": _cache,
        "scheduler": _scheduler,
        "poll": _poll,
    }
    found: dict[str, str] = {}
    for name, check in checks.items():
        if found.get("database") and check in IN_THE_DATABASE:  # each would wait as long once more
            found[name] = "not asked, for the database does not answer"
            continue
        try:
            found[name] = check(now)
        except (DatabaseError, InterfaceError) as error:
            found[name] = f"no answer ({type(error).__name__})"
    return found


def _database(now: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _migrations(now: datetime) -> str:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(waiting)} not applied: run manage.py migrate" if waiting else ""


def _cache(now: datetime) -> str:
    cache.set(PROBE, now.isoformat(), timeout=60)
    if not cache.get(PROBE):
        return "does not keep what is put into it"
    trouble = redis_trouble()
    return f"{DEGRADED}{trouble}; each process uses its own memory" if trouble else ""


def _scheduler(now: datetime) -> str:
    """A running cluster moves each minute's schedule on; one that stands in the past was not seen by anybody."""
    overdue = Schedule.objects.filter(schedule_type=Schedule.MINUTES, next_run__lt=now - SCHEDULER_GRACE).order_by("next_run").first()
    if overdue is not None:
        return f"{overdue.name} is due since {overdue.next_run:%Y-%m-%d %H:%M}: is the cluster running?"
    return ""


def _poll(now: datetime) -> str:
    """The sites this server polls, whose last good round is more than three intervals old."""
    rounds = dict(JobLease.objects.filter(name__startswith="poll:").values_list("name", "succeeded_at"))
    late = []
    polled = Miner.objects.filter(site=OuterRef("pk"), is_enabled=True).exclude(ip_address="")
    for site in Site.objects.polled().filter(Exists(polled)):
        last = rounds.get(f"poll:{site.code}")
        allowed = timedelta(seconds=POLL_INTERVALS * max(site.interval_seconds, settings.POLL_DEADLINE_S))
        if last is None or now - last > allowed:
            late.append(f"{site.code} {'never' if last is None else f'{(now - last).total_seconds():.0f} s ago'}")
    return f"last good round of {', '.join(late)}" if late else ""


IN_THE_DATABASE = (_migrations, _scheduler, _poll)
