"""Sites and the keys of their collectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from commands.ordering import order_page
from commands.permissions import allowed_commands
from miners.models import Miner
from sites.collector_admin import CollectorAdmin, CollectorEventAdmin
from sites.keys import KeyNotActive, ask_for_replacement, revoke_key, withdraw_replacement
from sites.listing import LargeList, OverviewChangeList
from sites.models import CollectorKey, Site
from sites.recorded import RecordedAdmin
from sites.scoping import SiteScopedAdmin, VisibleSiteFilter
from telemetry import units

__all__ = ["CollectorAdmin", "CollectorEventAdmin", "CollectorKeyAdmin", "SiteAdmin"]

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


@admin.register(Site)
class SiteAdmin(LargeList, RecordedAdmin):
    list_display = ["name", "code", "collection", "miner_count", "timezone", "is_active"]
    list_filter = ["collection", "is_active"]
    search_fields = ["code", "name"]
    filter_horizontal = ["users"]
    actions = ["send_command", "search_network"]
    empty_text = _("Add the first site: give it a code, and say whether this server polls its miners or a collector uploads.")
    fieldsets = [
        (None, {"fields": ["name", "code", "timezone", "is_active"]}),
        (_("Readings"), {"fields": ["collection", "interval_seconds", "register_unknown_miners"]}),
        (_("Power"), {"fields": ["power_price_kwh"]}),
        (_("Staff"), {"fields": ["users"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Site]:
        miners = Miner.objects.filter(site=OuterRef("pk")).order_by().values("site").annotate(count=Count("pk")).values("count")
        return Site.objects.visible_to(request.user).annotate(miner_count=Coalesce(Subquery(miners), 0))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OverviewChangeList]:
        return OverviewChangeList

    def get_readonly_fields(self, request: HttpRequest, obj: Site | None = None) -> list[str]:
        """The code is on the wire: collectors in the field send it."""
        return ["code"] if obj else []

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Who makes a site sees it."""
        super().save_related(request, form, formsets, change)
        if not change and not request.user.is_superuser:
            form.instance.users.add(request.user)

    @admin.action(description=_("Send a command to their miners…"), permissions=["command"])
    def send_command(self, request: HttpRequest, queryset: QuerySet[Site]) -> HttpResponse:
        """To the page that shows what the command will hit; nothing is sent from here."""
        sites = queryset.order_by().values("pk")
        return order_page(request, Miner.objects.visible_to(request.user).filter(site__in=sites, is_enabled=True))

    def has_command_permission(self, request: HttpRequest) -> bool:
        return bool(allowed_commands(request.user))

    @admin.action(description=_("Search its network for miners…"), permissions=["search"])
    def search_network(self, request: HttpRequest, queryset: QuerySet[Site]) -> HttpResponse | None:
        """To the page that asks for the address ranges: each site has its own."""
        if queryset.count() != 1:
            self.message_user(request, _("Choose one site: each has its own address ranges."), messages.WARNING)
            return None
        return redirect("console:search_network", queryset.get().pk)

    def has_search_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(("miners.add_miner", "miners.change_miner"))

    @admin.display(description=_("miners"), ordering="miner_count")
    def miner_count(self, site: Any) -> int:
        return int(site.miner_count)

    def has_delete_permission(self, request: HttpRequest, obj: Site | None = None) -> bool:
        """A site with miners is switched off, not deleted: its history hangs on it."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not obj.miners.exists())


class CollectorKeyForm(forms.ModelForm):
    class Meta:
        model = CollectorKey
        fields = ["site", "name", "expires_at"]


@admin.register(CollectorKey)
class CollectorKeyAdmin(RecordedAdmin, SiteScopedAdmin):
    """Keys are generated here and shown once; afterwards they can only be revoked."""

    form = CollectorKeyForm
    list_display = ["name", "site", "prefix", "state", "created", "expires", "last_used"]
    list_filter = [VisibleSiteFilter]
    list_select_related = ["site"]
    search_fields = ["name", "prefix"]
    readonly_fields = ["prefix", "created_at", "created_by", "revoked_at", "last_used_at"]
    rotation_fields = ["replaces", "fetched_by", "confirmed_at", "replacement_asked_at", "replacement_asked_by"]
    actions = ["ask_for_replacement", "withdraw_replacement", "revoke"]
    empty_text = _("A collector signs its uploads with a key of its site. Make one here and give it to the agent; it is shown once.")

    created = units.moment_column("created_at", _("created"))
    expires = units.moment_column("expires_at", _("expires"))
    last_used = units.ago_column("last_used_at", _("last used"))

    def get_readonly_fields(self, request: HttpRequest, obj: CollectorKey | None = None) -> list[str]:
        return ["site", *self.readonly_fields, *self.rotation_fields] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: CollectorKey | None = None) -> Any:
        fields = ["site", "name", "expires_at"]
        if obj is None:
            return [(None, {"fields": fields})]
        return [(None, {"fields": [*fields, *self.readonly_fields]}), (_("Replacement"), {"fields": self.rotation_fields})]

    @display(
        description=_("state"),
        label={"usable": "success", "revoked": "danger", "expired": "warning"},
    )
    def state(self, key: CollectorKey) -> tuple[str, Any]:
        if key.revoked_at:
            return "revoked", _("revoked")
        if key.expires_at and key.expires_at <= timezone.now():
            return "expired", _("expired")
        return "usable", _("usable")

    def save_model(self, request: HttpRequest, obj: CollectorKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        key, secret = CollectorKey.objects.generate(
            site=obj.site, name=obj.name, created_by=cast("AbstractBaseUser", request.user), expires_at=obj.expires_at
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        form.instance.secret = secret

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """One key at a time: its page cannot be gone past."""
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The page that shows the key: the answer to the form itself, so that the key is neither in a session nor in an address."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Collector key"),
            "opts": self.opts,
            "key": obj,
            "secret": obj.secret,
            "upload_url": request.build_absolute_uri("/api/collector/upload"),
        }
        return TemplateResponse(request, "sites/collector_key_shown_once.html", context)

    def has_delete_permission(self, request: HttpRequest, obj: CollectorKey | None = None) -> bool:
        """Uploads name the key they came with: revoke it instead."""
        return False

    @admin.action(description=_("Revoke the selected keys"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[CollectorKey]) -> None:
        count = sum(revoke_key(key) for key in queryset.select_related("site"))
        self.message_user(request, ngettext("%d key revoked.", "%d keys revoked.", count) % count)

    @admin.action(description=_("Let their collectors fetch a new key"), permissions=["change"])
    def ask_for_replacement(self, request: HttpRequest, queryset: QuerySet[CollectorKey]) -> None:
        """Each collector fetches its own at its next heartbeat; the old key ends once all of them use theirs."""
        asked = []
        for key in queryset.select_related("site"):
            try:
                asked += [key] if ask_for_replacement(key, asked_by=request.user.get_username()) else []
            except KeyNotActive as error:
                self.message_user(request, str(error), messages.WARNING)
        text = ngettext("Collectors may fetch a replacement of %d key.", "Collectors may fetch replacements of %d keys.", len(asked))
        self.message_user(request, text % len(asked))

    @admin.action(description=_("Keep these keys after all"), permissions=["change"])
    def withdraw_replacement(self, request: HttpRequest, queryset: QuerySet[CollectorKey]) -> None:
        kept = [key for key in queryset.select_related("site") if withdraw_replacement(key, withdrawn_by=request.user.get_username())]
        self.message_user(request, ngettext("%d key is kept.", "%d keys are kept.", len(kept)) % len(kept))
