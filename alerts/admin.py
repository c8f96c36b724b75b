"""The list of alerts. Brings in the pages of `alerts.rule_admin` and `alerts.channel_admin`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from alerts import channel_admin as channel_admin  # registers its pages
from alerts import lifecycle
from alerts import rule_admin as rule_admin  # registers its pages
from alerts.models import Alert, RuleKind
from alerts.rule_admin import SEVERITY_COLOURS
from alerts.wording import headline
from sites.listing import LargeList, OverviewChangeList
from sites.scoping import ReadOnly, VisibleSiteFilter
from telemetry import units

STANDING_COLOURS: dict[str, str] = {
    Alert.State.OPEN: "danger",
    Alert.State.ACKNOWLEDGED: "info",
    Alert.State.RESOLVED: "success",
    "silenced": "default",
}
NOT_OVER = "not_over"


class StateFilter(DropdownFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        return [(NOT_OVER, _("not over")), *Alert.State.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == NOT_OVER:
            return queryset.filter(resolved_at=None)
        return queryset.filter(state=value) if value else queryset


class KindFilter(DropdownFilter):
    title = _("condition")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        return list(RuleKind.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(rule__kind=self.value()) if self.value() else queryset


@admin.register(Alert)
class AlertAdmin(ReadOnly, LargeList, ModelAdmin):
    """What is wrong, what is not over first; each row opens the alert's own page."""

    list_display = ["gravity", "what", "standing", "site", "member_count", "opened", "lasted", "acknowledged_by"]
    list_display_links = ["what"]
    list_filter = [VisibleSiteFilter, StateFilter, ["severity", ChoicesDropdownFilter], KindFilter, "is_silenced"]
    list_filter_submit = True
    list_fullwidth = True
    list_select_related = ["rule", "site", "miner", "acknowledged_by"]
    ordering = [F("resolved_at").desc(nulls_first=True), "-opened_at"]
    search_fields = ["scope_key", "miner__miner_id", "rule__name"]
    actions = ["acknowledge", "silence_1_hour", "silence_4_hours", "silence_1_day"]
    empty_text = _("No alert. Rules are on by default and look at every site each minute.")

    opened = units.ago_column("opened_at", _("opened"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Alert.objects.visible_to(request.user)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OverviewChangeList]:
        return OverviewChangeList

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("alerts.change_alert")

    def has_silence_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("alerts.add_silence")

    @admin.action(description=_("Acknowledge the selected alerts"), permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        done = over = 0
        for alert in queryset.filter(state=Alert.State.OPEN):
            try:
                lifecycle.acknowledge(alert, by=request.user, now=timezone.now())  # type: ignore[arg-type]  # a page of signed in people
                done += 1
            except lifecycle.AlertOver:
                over += 1
        self.message_user(request, ngettext("%d alert acknowledged.", "%d alerts acknowledged.", done) % done)
        if over:
            self.message_user(request, ngettext("%d was over.", "%d were over.", over) % over, messages.WARNING)

    @admin.action(description=_("Silence for 1 hour"), permissions=["silence"])
    def silence_1_hour(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._silence(request, queryset, hours=1)

    @admin.action(description=_("Silence for 4 hours"), permissions=["silence"])
    def silence_4_hours(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._silence(request, queryset, hours=4)

    @admin.action(description=_("Silence for 1 day"), permissions=["silence"])
    def silence_1_day(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._silence(request, queryset, hours=24)

    def _silence(self, request: HttpRequest, queryset: QuerySet[Alert], *, hours: int) -> None:
        now, done = timezone.now(), 0
        for alert in queryset.filter(resolved_at=None).select_related("rule", "site", "miner"):
            try:
                lifecycle.silence_for(
                    alert,
                    until=now + timedelta(hours=hours),
                    by=request.user,  # type: ignore[arg-type]  # a page of signed in people
                    reason=headline(alert),
                    now=now,
                )
                done += 1
            except lifecycle.AlertOver:
                continue  # it ended while the page was open: nothing is left to silence
        self.message_user(request, ngettext("%d alert silenced.", "%d alerts silenced.", done) % done)

    @display(description=_("severity"), ordering="severity", label=SEVERITY_COLOURS)
    def gravity(self, alert: Alert) -> tuple[str, str]:
        return alert.severity, alert.get_severity_display()

    @admin.display(description=_("alert"))
    def what(self, alert: Alert) -> str:
        return headline(alert)

    @display(description=_("state"), ordering="state", label=STANDING_COLOURS)
    def standing(self, alert: Alert) -> tuple[str, Any]:
        if alert.is_silenced and alert.resolved_at is None:
            return "silenced", _("silenced")
        return alert.state, alert.get_state_display()

    @admin.display(description=_("lasted"))
    def lasted(self, alert: Alert) -> str:
        return units.duration(((alert.resolved_at or timezone.now()) - alert.opened_at).total_seconds())
