"""Commands, to look at: who asked what of which miner, and what became of it."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from commands.models import CommandEvent, CommandStatus, MinerCommand, Verification
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
    search_fields = ["^miner__miner_id", "=command_id"]
    paginator = LimitedCountPaginator
    empty_text = _("No command was sent yet.")

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
