"""An inventory that somebody uploads in the console: kept, looked at, then stored by the background cluster, which says how far it is.

kept = keep(site, by=user, file_name="farm.csv", raw=raw)   # raises UnreadableFile
plan = plan_of(kept)                                        # the preview: nothing is written
ask(kept)                                                   # queued, once
run(kept.pk)                                                # in the background
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django_q.tasks import async_task

from miners.inventory import ImportPlan, apply_import, plan_import
from miners.inventory_file import read_table
from miners.models import InventoryImport
from sites.models import Site

TASK = "miners.tasks.run_import"
KEPT_FOR = timedelta(days=1)
"""A file that nobody has imported is forgotten; of one that was, the counts stay."""
SILENT_AFTER = timedelta(minutes=2)
ERRORS_KEPT = 500

State = InventoryImport.State
log = structlog.get_logger(__name__)


def keep(site: Site, *, by: Any, file_name: str, raw: bytes) -> InventoryImport:
    """Raise UnreadableFile when nothing of it can be used."""
    read_table(raw)
    InventoryImport.objects.filter(state=State.CHECKED, created_at__lt=timezone.now() - KEPT_FOR).delete()
    return InventoryImport.objects.create(site=site, user=by, file_name=file_name[:200], content=raw)


def plan_of(kept: InventoryImport, *, visible: QuerySet[Site] | None = None) -> ImportPlan:
    """What the file would change now. Names no miner of another site, unless it is one of those that are `visible`."""
    sites = Site.objects.filter(pk=kept.site_id) if visible is None else visible
    return plan_import(kept.site, read_table(bytes(kept.content)), visible=sites)


def ask(kept: InventoryImport) -> bool:
    """Let the cluster store it; False when that was asked before."""
    asked = InventoryImport.objects.filter(pk=kept.pk, state=State.CHECKED).update(state=State.QUEUED, touched_at=timezone.now())
    if asked:
        async_task(TASK, kept.pk, group="import")
    return bool(asked)


def is_silent(kept: InventoryImport, now: datetime) -> bool:
    """Whether whoever stores it was stopped, or nobody has begun."""
    return kept.state in (State.QUEUED, State.RUNNING) and kept.touched_at is not None and now - kept.touched_at > SILENT_AFTER


def run(pk: int) -> str:
    """Store what was asked for; the counts in words. What goes wrong is kept with the import and raised."""
    if not InventoryImport.objects.filter(pk=pk, state=State.QUEUED).update(state=State.RUNNING, touched_at=timezone.now()):
        return f"import {pk} is not waiting"
    kept = InventoryImport.objects.select_related("site", "user").get(pk=pk)
    try:
        plan = plan_of(kept)
        _note_plan(kept, plan)
        apply_import(
            plan, by=kept.user, reason=_("import of %(file)s") % {"file": kept.file_name}, progress=lambda done: _note(pk, done=done)
        )
    except DatabaseError as error:
        _note(pk, state=State.FAILED, message=type(error).__name__, finished_at=timezone.now())
        raise
    _note(pk, state=State.DONE, finished_at=timezone.now(), content=b"")
    counts = {"added": len(plan.create), "updated": len(plan.update), "unchanged": plan.unchanged, "refused": plan.refused_rows}
    log.info("inventory_imported", site_id=kept.site.code, file=kept.file_name, **counts)
    return f"{kept.site.code}: {counts}"


def _note_plan(kept: InventoryImport, plan: ImportPlan) -> None:
    errors = [[error.row, error.column, error.reason] for error in plan.errors[:ERRORS_KEPT]]
    _note(
        kept.pk,
        to_store=len(plan.create) + len(plan.update),
        added=len(plan.create),
        updated=len(plan.update),
        unchanged=plan.unchanged,
        refused=plan.refused_rows,
        errors=errors,
    )


def _note(pk: int, **columns: Any) -> None:
    InventoryImport.objects.filter(pk=pk).update(touched_at=timezone.now(), **columns)
