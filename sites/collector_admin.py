"""Collectors as the console shows them: how each is, what it did and lost. All of it is their own word but who is watched."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from sites.models import Collector, CollectorEvent
from sites.scoping import ReadOnly, SiteScopedAdmin, VisibleSiteFilter
from telemetry import units
from telemetry.models import TelemetryGap

LAST_EVENTS, LAST_GAPS = 20, 20
STATE_COLOURS = {
    Collector.State.ONLINE: "success",
    Collector.State.LATE: "warning",
    Collector.State.SILENT: "danger",
    Collector.State.UNHEARD: "default",
}
OBSERVED = [
    "site",
    "device_id",
    "zone_id",
    "key",
    "client_address",
    "first_seen_at",
    "heartbeat_at",
    "interval_seconds",
    "sent_at",
]


class HeardFilter(DropdownFilter):
    """By whether its heartbeats come."""

    title = _("state")
    parameter_name = "heard"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("silent", _("silent")), ("heard", _("heard of")), ("waiting", _("has readings waiting"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        silent = Q(silent_from__lt=timezone.now())
        chosen = {"silent": silent, "heard": ~silent & Q(heartbeat_at__isnull=False), "waiting": Q(spool_records__gt=0)}
        return queryset.filter(chosen[str(self.value())]) if self.value() in chosen else queryset


@admin.register(Collector)
class CollectorAdmin(SiteScopedAdmin):
    list_display = ["name", "site", "condition", "heard", "version", "waiting", "behind", "clock", "round_took", "is_watched"]
    list_filter = [VisibleSiteFilter, HeardFilter, "is_watched"]
    list_filter_submit = True
    list_fullwidth = True
    list_select_related = ["site"]
    search_fields = ["device_id", "zone_id", "version"]
    fieldsets = [(None, {"fields": ["is_watched"]}), (_("By its last heartbeat"), {"fields": OBSERVED})]
    readonly_fields = OBSERVED
    change_form_outer_before_template = "sites/collector_head.html"
    empty_text = _("No collector has been heard of. The edge collector says how it is with each heartbeat; other agents only upload.")

    heard = units.ago_column("heartbeat_at", _("last heartbeat"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A collector is here from its first heartbeat on."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Collector | None = None) -> bool:
        """Gaps name the collector that has them: one that is gone is not watched any more."""
        return False

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        collector = self.get_object(request, object_id)
        shown = _shown(collector, now=timezone.now()) if collector else {}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
        return answer

    @admin.display(description=_("collector"), ordering="device_id")
    def name(self, collector: Collector) -> str:
        return str(collector)

    @display(description=_("state"), label=STATE_COLOURS)
    def condition(self, collector: Collector) -> tuple[Collector.State, Any]:
        state = collector.state(timezone.now())
        return state, state.label

    @admin.display(description=_("readings waiting"), ordering="spool_records")
    def waiting(self, collector: Collector) -> str:
        return units.number(collector.spool_records)

    @admin.display(description=_("behind"))
    def behind(self, collector: Collector) -> str:
        return units.duration(collector.lag().total_seconds()) if collector.spool_records is not None else units.DASH

    @admin.display(description=_("clock"), ordering="clock_offset_ms")
    def clock(self, collector: Collector) -> str:
        return offset(collector.clock_offset_ms)

    @admin.display(description=_("last round took"), ordering="poll_duration_ms")
    def round_took(self, collector: Collector) -> str:
        milliseconds = collector.poll_duration_ms
        return units.DASH if milliseconds is None else f"{units.number(milliseconds / 1000, 1)}\N{NO-BREAK SPACE}s"


@admin.register(CollectorEvent)
class CollectorEventAdmin(ReadOnly, SiteScopedAdmin):
    list_display = ["happened", "site", "collector", "kind", "miner_id", "message"]
    list_filter = [VisibleSiteFilter, "kind"]
    list_filter_submit = True
    list_select_related = ["site", "collector"]
    search_fields = ["^miner_id", "=kind"]
    empty_text = _("No collector has told of anything. They tell of starts, of what they dropped, and of each act of their local safety.")

    happened = units.moment_column("at", _("at"))


def _shown(collector: Collector, *, now: datetime) -> dict[str, Any]:
    """What the page has above its form."""
    state = collector.state(now)
    gaps = TelemetryGap.objects.filter(collector=collector)
    return {
        "now": now,
        "state": state,
        "state_colour": STATE_COLOURS[state],
        "lag_s": collector.lag().total_seconds(),
        "clock": offset(collector.clock_offset_ms),
        "gaps": list(gaps.order_by("-started_at")[:LAST_GAPS]),
        "events": list(collector.events.all()[:LAST_EVENTS]),
    }


def offset(milliseconds: float | None) -> str:
    """How a collector's clock goes beside the server's, of which `milliseconds` are the server's less its own."""
    if milliseconds is None:
        return units.DASH
    size = (
        f"{units.number(abs(milliseconds))}\N{NO-BREAK SPACE}ms" if abs(milliseconds) < 1000 else units.duration(abs(milliseconds) / 1000)
    )
    return (_("%(time)s slow") if milliseconds >= 0 else _("%(time)s fast")) % {"time": size}
