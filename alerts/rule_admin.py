"""Rules, what they did by themselves, and silences. Registered by `alerts.admin`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from alerts.forms import RuleForm, SilenceForm
from alerts.models import Alert, AlertAction, AlertRule, Severity, Silence
from alerts.scoping import OwnSitesAdmin, of_own_sites, touching_own_sites
from alerts.units import with_unit
from sites.listing import LargeList
from sites.models import Site
from sites.recorded import RecordedAdmin
from sites.scoping import ReadOnly, SiteScopedAdmin, VisibleSiteFilter
from telemetry import units

SEVERITY_COLOURS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "danger"}
OUTCOME_COLOURS = {AlertAction.Outcome.ACTED: "success", AlertAction.Outcome.WOULD_ACT: "info", AlertAction.Outcome.REFUSED: "warning"}


@admin.register(AlertRule)
class AlertRuleAdmin(OwnSitesAdmin):
    form = RuleForm
    list_display = ["__str__", "kind", "is_enabled", "gravity", "limit", "for_minutes", "where", "open_alerts"]
    list_filter = ["is_enabled", ["severity", ChoicesDropdownFilter], ["kind", ChoicesDropdownFilter]]
    list_per_page = 100
    search_fields = ["name", "slug", "kind"]
    autocomplete_fields = ["sites", "miner_models", "tags"]
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
        return str(_("%(threshold)s, or the model’s") % {"threshold": text}) if rule.threshold_from_model else text

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
class SilenceAdmin(RecordedAdmin, SiteScopedAdmin):
    form = SilenceForm
    list_display = ["reason", "where", "rule", "is_maintenance", "starts", "ends", "phase", "created_by"]
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

    starts = units.moment_column("starts_at", _("begins"))
    ends = units.moment_column("ends_at", _("until"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Silence.objects.all() if request.user.is_superuser else super().get_queryset(request)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        now = timezone.now().replace(second=0, microsecond=0)
        return {"starts_at": now, "ends_at": now + timedelta(hours=4), **super().get_changeform_initial_data(request)}

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Rules of other sites have names that are none of the user's business."""
        if db_field.name == "rule":
            kwargs["queryset"] = touching_own_sites(AlertRule.objects.all(), request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

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


@admin.register(AlertAction)
class AlertActionAdmin(ReadOnly, LargeList, ModelAdmin):
    """What rules did to miners, and in a dry run what they would have done."""

    list_display = ["when", "rule", "miner", "action", "result", "sent", "about", "reason"]
    list_filter = [["outcome", ChoicesDropdownFilter], ["action", ChoicesDropdownFilter]]
    list_filter_submit = True
    list_select_related = ["rule", "miner", "alert", "command"]
    list_display_links = None
    date_hierarchy = "at"
    empty_text = _("No rule has acted. A rule with an action says here what it would do, and once it is live what it did.")

    when = units.ago_column("at", _("when"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return AlertAction.objects.filter(alert__in=Alert.objects.visible_to(request.user))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees the rules sees what they do."""
        return request.user.has_perm("alerts.view_alertrule")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @display(description=_("outcome"), ordering="outcome", label=OUTCOME_COLOURS)
    def result(self, action: AlertAction) -> tuple[str, str]:
        return action.outcome, action.get_outcome_display()

    @admin.display(description=_("command"))
    def sent(self, action: AlertAction) -> str:
        if action.command is None:
            return units.DASH
        address = reverse("admin:commands_minercommand_change", args=[action.command.pk])
        return format_html('<a href="{}">{}</a>', address, action.command.get_status_display())

    @admin.display(description=_("alert"))
    def about(self, action: AlertAction) -> str:
        return format_html('<a href="{}">#{}</a>', reverse("console:alert", args=[action.alert_id]), action.alert_id)
