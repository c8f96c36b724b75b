"""A search for miners that somebody asks for in the console: run by the background cluster, looked at, then taken into the inventory.

search = ask(site, by=user, ranges="10.1.0.0/22", port=4028)   # raises UnusableRange
run(search.pk)                                                 # in the background
plan = plan_of(search)                                         # what it would change now: nothing is written
take(search, by=user)                                          # once
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from cgminer.address import Address
from miners.discovery import DiscoveryPlan, Found, addresses_in, apply_discovery, plan_discovery, scan
from miners.models import NetworkSearch
from sites.models import Site

TASK = "miners.tasks.run_search"
KEPT_FOR = timedelta(days=7)
SILENT_AFTER = timedelta(minutes=2)
TOLD_EVERY_S = 0.5
DENIED_KEPT = 100

State = NetworkSearch.State
log = structlog.get_logger(__name__)


def ranges_of(text: str) -> list[str]:
    """Ranges as people write them: with blanks, commas or line breaks between."""
    return [part for part in re.split(r"[\s,;]+", text) if part]


def ask(site: Site, *, by: Any, ranges: str, port: int) -> NetworkSearch:
    """Raise UnusableRange, with the reason, where the ranges cannot be searched."""
    wanted = addresses_in(ranges_of(ranges), port=port)
    NetworkSearch.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    search = NetworkSearch.objects.create(site=site, user=by, ranges=", ".join(ranges_of(ranges)), port=port, to_ask=len(wanted))
    async_task(TASK, search.pk, group="search")
    return search


def is_silent(search: NetworkSearch, now: datetime) -> bool:
    """Whether whoever searches was stopped, or nobody has begun."""
    return search.state in (State.QUEUED, State.RUNNING) and now - search.touched_at > SILENT_AFTER


def run(pk: int) -> str:
    """Search where it was asked for; the counts in words."""
    if not NetworkSearch.objects.filter(pk=pk, state=State.QUEUED).update(state=State.RUNNING, touched_at=timezone.now()):
        return f"search {pk} is not waiting"
    search = NetworkSearch.objects.select_related("site").get(pk=pk)
    addresses = addresses_in(ranges_of(search.ranges), port=search.port)
    try:
        result = scan(addresses, progress=_Progress(pk))
        _note(
            pk,
            state=State.FOUND,
            asked=len(addresses),
            answered=len(result.found),
            found=[_kept(each) for each in result.found],
            denied=[str(address) for address in result.denied[:DENIED_KEPT]],
        )
    except (DatabaseError, OSError) as error:
        _note(pk, state=State.FAILED, message=f"{type(error).__name__}: {error}"[:200])
        raise
    log.info("network_searched", site_id=search.site.code, ranges=search.ranges, addresses=len(addresses), found=len(result.found))
    return f"{search.site.code}: {len(result.found)} miners at {len(addresses)} addresses"


class _Progress:
    """Called after each address; writes how far it is now and then."""

    def __init__(self, pk: int) -> None:
        self.pk = pk
        self.asked = 0
        self.told = time.monotonic()

    def __call__(self, found: int) -> None:
        self.asked += 1
        now = time.monotonic()
        if now - self.told >= TOLD_EVERY_S:
            self.told = now
            _note(self.pk, asked=self.asked, answered=found)


def plan_of(search: NetworkSearch) -> DiscoveryPlan:
    """What was found, compared with the inventory as it is now."""
    return plan_discovery(search.site, [_found(kept) for kept in search.found])


def take(search: NetworkSearch, *, by: Any) -> bool:
    """Bring the inventory up to date; False when that was done before."""
    with transaction.atomic():
        if not NetworkSearch.objects.filter(pk=search.pk, state=State.FOUND).update(state=State.STORED, touched_at=timezone.now()):
            return False
        plan = plan_of(search)
        apply_discovery(plan, by=by)
    log.info("search_taken", site_id=search.site.code, added=len(plan.new), moved=len(plan.moved), known=len(plan.known))
    return True


def _kept(found: Found) -> dict[str, Any]:
    return asdict(found) | {"address": [found.address.host, found.address.port]}


def _found(kept: dict[str, Any]) -> Found:
    return Found(**kept | {"address": Address(*kept["address"])})


def _note(pk: int, **columns: Any) -> None:
    NetworkSearch.objects.filter(pk=pk).update(touched_at=timezone.now(), **columns)
