"""Commands and batches: who asked what of which miner, and what became of it. They are asked for on the page of `commands.ordering`."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectMultipleWidget

from commands import batch_pages, dispatch
from commands.batch_wording import in_readers_words
from commands.models import (
    OPEN_STATUSES,
    ApprovalRule,
    CommandBatch,
    CommandEvent,
    CommandStatus,
    CommandType,
    MinerCommand,
    MinerCredential,
    Verification,
)
from commands.ordering import order_view
from commands.permissions import allowed_commands, may_ask
from commands.secrets import seal
from commands.timeline import timeline_of
from sites.listing import LargeChangeList, LargeList
from sites.recorded import RecordedAdmin
from sites.scoping import ReadOnly, SiteScopedAdmin, VisibleSiteFilter
from telemetry import units


class CommandEventInline(ReadOnly, TabularInline):
    """What happened to the command, in order."""

    model = CommandEvent
    fields = ["at", "actor", "status", "message"]
    extra = 0
    hide_title = True


@admin.register(MinerCommand)
class MinerCommandAdmin(ReadOnly, SiteScopedAdmin):
    list_display = ["asked_at", "command", "miner", "site", "outcome", "proof", "result_message", "requested_by"]
    list_filter = [
        VisibleSiteFilter,
        ["status", ChoicesDropdownFilter],
        ["command", ChoicesDropdownFilter],
        ["verification", ChoicesDropdownFilter],
    ]
    list_filter_submit = True
    list_select_related = ["miner", "site", "requested_by"]
    fieldsets = [
        (None, {"fields": ["command_id", "command", "params", "miner", "site", "reason", "requested_by", "priority", "batch"]}),
        (
            _("Way"),
            {"fields": ["status", "created_at", "sent_at", "touched_at", "leased_until", "leased_by", "deliveries"]},
        ),
        (_("Outcome"), {"fields": ["expires_at", "finished_at", "result_code", "result_message", "result"]}),
        (_("Evidence"), {"fields": ["verification", "verified_at", "evidence"]}),
    ]
    readonly_fields = [name for _title, options in fieldsets for name in options["fields"]]
    inlines = [CommandEventInline]
    actions = ["cancel"]
    export_columns: ClassVar[list[str]] = [
        *("command_id", "site__code", "miner__miner_id", "command", "status", "result_message", "verification"),
        *("created_at", "sent_at", "finished_at", "verified_at", "requested_by__username", "reason"),
    ]
    export_labels: ClassVar[dict[str, Any]] = {
        "site__code": _("site code"),
        "miner__miner_id": _("miner"),
        "requested_by__username": _("requested by"),
    }
    search_fields = ["^miner__miner_id", "=command_id", "=requested_by__username"]
    date_hierarchy = "created_at"
    change_form_outer_before_template = "commands/command_head.html"
    empty_text = _("No command was sent yet. Pick miners in their list, or open one, and send it one.")

    asked_at = units.moment_column("created_at", _("created"))

    def get_urls(self) -> list[Any]:
        staff = self.admin_site.admin_view
        own = [
            path("order/", staff(order_view), name="commands_minercommand_order"),
            path("<uuid:pk>/cancel/", staff(require_POST(self.cancel_one)), name="commands_minercommand_cancel"),
        ]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        command = self.get_object(request, object_id)
        shown = timeline_of(command, may_cancel=may_ask(request.user, command.command)) if command else {}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
        return answer

    def cancel_one(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        command = get_object_or_404(self.get_queryset(request), pk=pk)
        self.cancel(request, MinerCommand.objects.filter(pk=command.pk))
        return HttpResponseRedirect(reverse("admin:commands_minercommand_change", args=[pk]))

    @admin.action(description=_("Cancel the selected commands"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[MinerCommand]) -> None:
        picked = list(queryset.order_by().values_list("pk", flat=True))
        allowed = MinerCommand.objects.filter(pk__in=picked, command__in=allowed_commands(request.user))
        count = dispatch.cancel(allowed, actor=request.user.get_username(), now=timezone.now())
        self.message_user(request, ngettext("%d command cancelled.", "%d commands cancelled.", count) % count)
        if left := len(picked) - count:
            text = ngettext(
                "%d was handed out before, or is not yours to cancel.", "%d were handed out before, or are not yours to cancel.", left
            )
            self.message_user(request, text % left, messages.WARNING)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(allowed_commands(request.user))

    @display(
        description=_("status"),
        ordering="status",
        label={
            CommandStatus.PENDING: "info",
            CommandStatus.SENT: "info",
            CommandStatus.EXECUTING: "info",
            CommandStatus.COMPLETED: "success",
            CommandStatus.FAILED: "danger",
            CommandStatus.EXPIRED: "warning",
            CommandStatus.CANCELLED: "default",
        },
    )
    def outcome(self, command: MinerCommand) -> tuple[str, str]:
        return command.status, command.get_status_display()

    @display(
        description=_("verification"),
        ordering="verification",
        label={Verification.VERIFIED: "success", Verification.NOT_VERIFIED: "danger", Verification.UNKNOWN: "default", "open": "default"},
    )
    def proof(self, command: MinerCommand) -> tuple[str, Any]:
        if command.status in OPEN_STATUSES or (command.sent_at and not command.verified_at):
            return "open", _("not judged yet")
        return command.verification, command.get_verification_display()


class BatchChangeList(LargeChangeList):
    """A list whose rows open the batch's own page."""

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:commands_commandbatch_progress", args=[result.pk])


@admin.register(CommandBatch)
class CommandBatchAdmin(ReadOnly, LargeList, ModelAdmin):
    list_display = ["asked_at", "command", "phase", "reason", "requested_by", "approved_by", "stopped_because"]
    list_filter = [["state", ChoicesDropdownFilter], ["command", ChoicesDropdownFilter]]
    list_filter_submit = True
    list_select_related = ["requested_by", "approved_by"]
    empty_text = _("An order for more than one miner goes out as a batch. Pick miners in their list and send them a command.")

    asked_at = units.moment_column("created_at", _("created"))

    @admin.display(description=_("stopped because"))
    def stopped_because(self, batch: CommandBatch) -> str:
        return in_readers_words(batch.stop_reason)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CommandBatch]:
        return batch_pages.visible_batches(request.user)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BatchChangeList]:
        return BatchChangeList

    def get_urls(self) -> list[Any]:
        return [*batch_pages.urls(), *super().get_urls()]

    @display(
        description=_("state"),
        ordering="state",
        label={
            CommandBatch.State.WAITING: "warning",
            CommandBatch.State.RUNNING: "info",
            CommandBatch.State.PAUSED: "warning",
            CommandBatch.State.STOPPED: "danger",
            CommandBatch.State.FINISHED: "success",
        },
    )
    def phase(self, batch: CommandBatch) -> tuple[str, str]:
        return batch.state, batch.get_state_display()


class CredentialForm(forms.ModelForm):
    password = forms.CharField(
        label=_("password"),
        max_length=100,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted and never shown again. Whatsminers want the administrator's."),
    )

    class Meta:
        model = MinerCredential
        fields = ["site", "miner"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        site, miner = cleaned.get("site"), cleaned.get("miner")
        if site and miner and miner.site_id != site.pk:
            raise forms.ValidationError({"miner": _("This miner stands at another site.")})
        return cleaned


@admin.register(MinerCredential)
class MinerCredentialAdmin(RecordedAdmin, SiteScopedAdmin):
    """Passwords go in here and never come out."""

    form = CredentialForm
    list_display = ["site", "miner", "changed"]
    list_display_links = ["site", "changed"]
    list_filter = [VisibleSiteFilter]
    list_select_related = ["site", "miner"]
    autocomplete_fields = ["miner"]
    fields = ["site", "miner", "password"]
    changed = units.moment_column("changed_at", _("changed"))
    empty_text = _("Whatsminers take commands only with their administrator's password. Enter it for a whole site, or for one miner.")

    def save_model(self, request: HttpRequest, obj: MinerCredential, form: Any, change: bool) -> None:
        obj.sealed = seal({"password": form.cleaned_data["password"]})
        super().save_model(request, obj, form, change)


class RuleForm(forms.ModelForm):
    commands = forms.MultipleChoiceField(
        label=_("commands"), choices=CommandType.choices, required=False, widget=UnfoldAdminSelectMultipleWidget
    )

    class Meta:
        model = ApprovalRule
        fields = ["site", "commands", "above_miners", "valid_minutes"]


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(RecordedAdmin, SiteScopedAdmin):
    """Which orders for a site wait for a second person."""

    form = RuleForm
    list_display = ["site", "types", "above_miners", "valid_minutes"]
    list_select_related = ["site"]
    empty_text = _("With a rule, orders of the chosen types or sizes wait until somebody other than who asked approves them.")

    @admin.display(description=_("commands"))
    def types(self, rule: ApprovalRule) -> str:
        return ", ".join(str(CommandType(command).label) for command in rule.commands)
