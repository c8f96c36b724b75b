"""Commands: who asked what of which miner, and what became of it. They are asked for on the page of `commands.ordering`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from commands import dispatch
from commands.models import CommandEvent, CommandStatus, MinerCommand, Verification
from commands.ordering import order_view
from commands.permissions import allowed_commands
from sites.scoping import LimitedCountPaginator, ReadOnly, SiteScopedAdmin, VisibleSiteFilter


class CommandEventInline(ReadOnly, TabularInline):
    """What happened to the command, in order."""

    model = CommandEvent
    fields = ["at", "actor", "status", "message"]
    extra = 0


@admin.register(MinerCommand)
class MinerCommandAdmin(ReadOnly, SiteScopedAdmin):
    list_display = ["created_at", "command", "miner", "site", "outcome", "proof", "result_message", "requested_by"]
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
        (_("Way"), {"fields": ["status", "created_at", "sent_at", "leased_until", "leased_by", "deliveries", "expires_at", "finished_at"]}),
        (_("Outcome"), {"fields": ["result_code", "result_message", "result", "verification", "verified_at", "evidence"]}),
    ]
    readonly_fields = [name for _title, options in fieldsets for name in options["fields"]]
    inlines = [CommandEventInline]
    actions = ["cancel"]
    search_fields = ["^miner__miner_id", "=command_id"]
    paginator = LimitedCountPaginator
    empty_text = _("No command was sent yet. Pick miners in their list, or open one, and send it one.")

    def get_urls(self) -> list[Any]:
        own = path("order/", self.admin_site.admin_view(order_view), name="commands_minercommand_order")
        return [own, *super().get_urls()]

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
        label={Verification.VERIFIED: "success", Verification.NOT_VERIFIED: "danger", Verification.UNKNOWN: "default"},
    )
    def proof(self, command: MinerCommand) -> tuple[str, str]:
        return command.verification, command.get_verification_display()
