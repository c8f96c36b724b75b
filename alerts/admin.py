"""Alerts, what raises them, what keeps them quiet. The channels are in `alerts.channel_admin`, which this module brings in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from alerts import channel_admin as channel_admin  # registers its pages
from alerts import lifecycle
from alerts.forms import RuleForm, SilenceForm
from alerts.models import Alert, AlertRule, RuleKind, Severity, Silence
from alerts.scoping import OwnSitesAdmin, of_own_sites, touching_own_sites
from alerts.units import with_unit
from alerts.wording import headline
from sites.models import Site
from sites.scoping import LimitedCountPaginator, OverviewChangeList, ReadOnly, SiteScopedAdmin, VisibleSiteFilter
from telemetry import units

SEVERITY_COLOURS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "danger"}
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
class AlertAdmin(ReadOnly, ModelAdmin):
    """What is wrong, what is not over first; each row opens the alert's own page."""

    list_display = ["gravity", "what", "standing", "site", "member_count", "opened", "lasted", "acknowledged_by"]
    list_display_links = ["what"]
    list_filter = [VisibleSiteFilter, StateFilter, ["severity", ChoicesDropdownFilter], KindFilter, "is_silenced"]
    list_filter_submit = True
    list_fullwidth = True
    list_select_related = ["rule", "site", "miner", "acknowledged_by"]
    list_per_page = 50
    show_full_result_count = False
    paginator = LimitedCountPaginator
    ordering = [F("resolved_at").desc(nulls_first=True), "-opened_at"]
    search_fields = ["scope_key", "miner__miner_id", "rule__name"]
    actions = ["acknowledge", "silence_1_hour", "silence_4_hours", "silence_1_day"]
    empty_text = _("No alert. Rules are on by default and look at every site each minute.")

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

    @admin.display(description=_("opened"), ordering="opened_at")
    def opened(self, alert: Alert) -> str:
        return units.age(alert.opened_at)

    @admin.display(description=_("lasted"))
    def lasted(self, alert: Alert) -> str:
        return units.duration(((alert.resolved_at or timezone.now()) - alert.opened_at).total_seconds())


@admin.register(AlertRule)
class AlertRuleAdmin(OwnSitesAdmin):
    form = RuleForm
    list_display = ["__str__", "kind", "is_enabled", "gravity", "limit", "for_minutes", "where", "open_alerts"]
    list_filter = ["is_enabled", ["severity", ChoicesDropdownFilter], ["kind", ChoicesDropdownFilter]]
    list_per_page = 100
    search_fields = ["name", "slug", "kind"]
    filter_horizontal = ["sites", "miner_models", "tags"]
    fieldsets = [
        (None, {"fields": ["kind", "name", "is_enabled", "severity"]}),
        (
            _("Condition"),
            {"fields": ["threshold", "threshold_from_model", "for_minutes", "clear_margin", "clear_minutes", "expected_pools"]},
        ),
        (_("Where"), {"fields": ["sites", "racks", "miner_models", "tags"], "description": _("Empty: everywhere.")}),
        (_("One alert for many miners"), {"fields": ["group_from", "group_percent"]}),
        (_("Action"), {"fields": ["action", "action_mode", "action_cooldown_minutes", "action_daily_cap"]}),
    ]
    empty_text = _("No rule: nothing is watched.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rules = touching_own_sites(AlertRule.objects.all(), request.user).prefetch_related("sites", "miner_models", "tags")
        mine = Q(alerts__resolved_at=None)
        if not request.user.is_superuser:
            mine &= Q(alerts__site__in=Site.objects.visible_to(request.user))
        counted: QuerySet[Any] = rules.annotate(open_count=Count("alerts", filter=mine, distinct=True))
        return counted

    def get_readonly_fields(self, request: HttpRequest, obj: AlertRule | None = None) -> list[str]:
        """What a rule looks at stays: its alerts hang on it."""
        return ["kind"] if obj else []

    def has_change_permission(self, request: HttpRequest, obj: AlertRule | None = None) -> bool:
        """A rule that holds at sites of others is theirs too."""
        return super().has_change_permission(request, obj) and _is_own(obj, request)

    def has_delete_permission(self, request: HttpRequest, obj: AlertRule | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_own(obj, request)

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        if not obj.slug:
            taken = set(AlertRule.objects.filter(kind=obj.kind).values_list("slug", flat=True))
            base = obj.kind.replace("_", "-")
            obj.slug = next(slug for number in range(1, len(taken) + 2) if (slug := f"{base}-own-{number}") not in taken)
        super().save_model(request, obj, form, change)

    @display(description=_("severity"), ordering="severity", label=SEVERITY_COLOURS)
    def gravity(self, rule: AlertRule) -> tuple[str, str]:
        return rule.severity, rule.get_severity_display()

    @admin.display(description=_("threshold"))
    def limit(self, rule: AlertRule) -> str:
        text = with_unit(rule.kind, rule.threshold) or units.DASH
        return f"{text} ({_('or the model’s')})" if rule.threshold_from_model else text

    @admin.display(description=_("where"))
    def where(self, rule: AlertRule) -> str:
        named = [*rule.sites.all(), *rule.racks, *rule.miner_models.all(), *rule.tags.all()]
        return ", ".join(map(str, named)) or str(_("everywhere"))

    @admin.display(description=_("open alerts"), ordering="open_count")
    def open_alerts(self, rule: Any) -> int:
        return int(rule.open_count)


def _is_own(rule: AlertRule | None, request: HttpRequest) -> bool:
    return rule is None or of_own_sites(AlertRule.objects.filter(pk=rule.pk), request.user).exists()


@admin.register(Silence)
class SilenceAdmin(SiteScopedAdmin):
    form = SilenceForm
    list_display = ["reason", "where", "rule", "is_maintenance", "starts_at", "ends_at", "phase", "created_by"]
    list_filter = [VisibleSiteFilter, "is_maintenance"]
    list_select_related = ["site", "miner", "rule", "created_by"]
    search_fields = ["reason", "rack", "miner__miner_id"]
    autocomplete_fields = ["miner"]
    fieldsets = [
        (_("Where"), {"fields": ["site", "zone", "rack", "miner"]}),
        (
            _("What"),
            {"fields": ["rule", "is_maintenance"], "description": _("In maintenance nothing is raised; otherwise nobody is told.")},
        ),
        (_("When"), {"fields": ["starts_at", "ends_at", "reason"]}),
    ]
    empty_text = _("Nothing is silenced.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Silence.objects.all() if request.user.is_superuser else super().get_queryset(request)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        now = timezone.now().replace(second=0, microsecond=0)
        return {"starts_at": now, "ends_at": now + timedelta(hours=4), **super().get_changeform_initial_data(request)}

    def get_form(self, request: HttpRequest, obj: Silence | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "site" in form.base_fields and not request.user.is_superuser:
            form.base_fields["site"].required = True
        return form

    def save_model(self, request: HttpRequest, obj: Silence, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
        super().save_model(request, obj, form, change)

    @admin.display(description=_("where"))
    def where(self, silence: Silence) -> str:
        parts = [str(part) for part in (silence.site, silence.zone, silence.rack, silence.miner) if part]
        return ", ".join(parts) or str(_("everywhere"))

    @display(description=_("state"), label={"now": "info", "ahead": "default", "past": "default"})
    def phase(self, silence: Silence) -> tuple[str, Any]:
        now = timezone.now()
        if silence.ends_at <= now:
            return "past", _("ended")
        return ("now", _("in force")) if silence.starts_at <= now else ("ahead", _("to come"))
