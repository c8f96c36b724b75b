"""The jobs that run by themselves: which runner has each, and how its last run went."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from resilience.models import JobLease
from sites.exports import ListExport
from telemetry import units


@admin.register(JobLease)
class JobLeaseAdmin(ListExport, ModelAdmin):
    list_display = ["name", "health", "started", "succeeded", "took", "dropped", "result", "error"]
    empty_text = _("No job has run yet. The cluster starts them: “manage.py up” runs it beside the web server.")

    started = units.ago_column("started_at", _("last start"))
    succeeded = units.ago_column("succeeded_at", _("last success"))

    @admin.display(description=_("duration, ms"), ordering="duration_ms")
    def took(self, lease: JobLease) -> str:
        return units.number(lease.duration_ms)

    @display(description=_("state"), label={"failed": "danger", "running": "info", "ok": "success"})
    def health(self, lease: JobLease) -> tuple[str, object]:
        if lease.owner and lease.expires_at and lease.expires_at > timezone.now():
            return "running", _("running")
        return ("failed", _("failed")) if lease.error else ("ok", _("succeeded"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
