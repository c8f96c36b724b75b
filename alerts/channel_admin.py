"""Channels, receivers, escalation and the log of what was sent. Registered by `alerts.admin`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from alerts.delivery import try_out
from alerts.forms import ChannelForm, ReceiverFormSet
from alerts.messages import trial_message
from alerts.models import Alert, ChannelReceiver, Delivery, DeliveryState, EscalationStep, NotificationChannel
from alerts.scoping import OwnSitesAdmin, of_own_sites
from alerts.wording import headline
from sites.listing import LargeList
from sites.models import Site
from sites.recorded import RecordedAdmin
from sites.scoping import ReadOnly
from telemetry import units

DELIVERY_COLOURS = {
    DeliveryState.PENDING: "info",
    DeliveryState.SENT: "success",
    DeliveryState.FAILED: "warning",
    DeliveryState.GIVEN_UP: "danger",
}


NEW_ADDRESS = gettext_noop("new address")


class ReceiverInline(TabularInline):
    model = ChannelReceiver
    formset = ReceiverFormSet
    extra = 0
    hide_title = True
    verbose_name_plural = _("Receivers of e-mail: none means the address itself")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            staff = get_user_model().objects.filter(is_active=True, is_staff=True)
            if not request.user.is_superuser:
                staff = staff.filter(Q(sites__in=Site.objects.visible_to(request.user)) | Q(pk=request.user.pk)).distinct()
            kwargs["queryset"] = staff.order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(NotificationChannel)
class ChannelAdmin(OwnSitesAdmin):
    """Addresses go in and never come out; a button sends a test message."""

    form = ChannelForm
    list_display = ["name", "kind", "target", "is_enabled", "minimum_severity", "where", "hours", "health", "last_sent"]
    list_filter = [["kind", ChoicesDropdownFilter], "is_enabled"]
    search_fields = ["name", "target"]
    autocomplete_fields = ["sites"]
    readonly_fields = ["kind", "target", "last_sent_at", "failing_since", "last_error"]
    inlines = [ReceiverInline]
    fieldsets = [
        (None, {"fields": ["name", "is_enabled", "url", "language"]}),
        (_("What is told"), {"fields": ["minimum_severity", "sites", "tells_resolved", "escalation_only"]}),
        (_("On call"), {"fields": [("on_call_from", "on_call_until"), "on_call_days", "timezone"]}),
        (_("How often"), {"fields": ["digest_minutes", "hourly_limit"]}),
    ]
    change_form_outer_before_template = "alerts/channel_head.html"
    empty_text = _("Nobody is told of alerts yet. Add a channel: e-mail, Telegram, Slack, a webhook …")

    last_sent = units.ago_column("last_sent_at", _("last message"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return of_own_sites(NotificationChannel.objects.all(), request.user).prefetch_related("sites")

    def get_urls(self) -> list[Any]:
        test = self.admin_site.admin_view(require_POST(self.send_test))
        return [path("<int:pk>/test/", test, name="alerts_notificationchannel_test"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        may = self.has_change_permission(request)
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_test": may})
        return answer

    def save_model(self, request: HttpRequest, obj: NotificationChannel, form: Any, change: bool) -> None:
        if change and form.cleaned_data.get("url"):
            obj._change_reason = NEW_ADDRESS  # type: ignore[attr-defined]  # what the history shows in place of the secret
        super().save_model(request, obj, form, change)

    def send_test(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = get_object_or_404(self.get_queryset(request), pk=pk)
        back = HttpResponseRedirect(reverse("admin:alerts_notificationchannel_change", args=[pk]))
        if not self.has_change_permission(request, channel):
            self.message_user(request, _("You may not send test messages."), messages.ERROR)
            return back
        people = [receiver.user.email for receiver in channel.receivers.select_related("user") if receiver.user.email]
        error = try_out(channel, trial_message(channel, language=channel.language), to=people)
        if error:
            self.message_user(request, _("The test message did not arrive: %(error)s") % {"error": error}, messages.ERROR)
        else:
            self.message_user(request, _("The test message was accepted."))
        return back

    @admin.display(description=_("sites"))
    def where(self, channel: NotificationChannel) -> str:
        return ", ".join(site.name for site in channel.sites.all()) or str(_("all"))

    @admin.display(description=_("on call"))
    def hours(self, channel: NotificationChannel) -> str:
        if channel.on_call_from is None or channel.on_call_until is None:
            return str(_("around the clock"))
        return f"{channel.on_call_from:%H:%M}–{channel.on_call_until:%H:%M} {channel.timezone}"

    @display(description=_("state"), label={"well": "success", "failing": "danger", "off": "default", "new": "info"})
    def health(self, channel: NotificationChannel) -> tuple[str, Any]:
        if not channel.is_enabled:
            return "off", _("off")
        if channel.failing_since:
            return "failing", _("failing for %(duration)s") % {"duration": units.duration(_seconds_since(channel.failing_since))}
        return ("well", _("works")) if channel.last_sent_at else ("new", _("not used yet"))


def _seconds_since(moment: Any) -> float:
    return float((timezone.now() - moment).total_seconds())


@admin.register(EscalationStep)
class EscalationStepAdmin(RecordedAdmin):
    list_display = ["__str__", "after_minutes", "channel", "minimum_severity", "is_enabled"]
    list_select_related = ["channel"]
    empty_text = _("Nobody else is told when an alert is not acknowledged. A step says whom, and after how many minutes.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return EscalationStep.objects.filter(channel__in=of_own_sites(NotificationChannel.objects.all(), request.user))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "channel":
            kwargs["queryset"] = of_own_sites(NotificationChannel.objects.all(), request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, LargeList, ModelAdmin):
    """The log of notifications."""

    list_display = ["since", "what", "event_kind", "to", "outcome", "attempts", "when", "last_error"]
    list_filter = [["state", ChoicesDropdownFilter], ["channel", RelatedDropdownFilter]]
    list_filter_submit = True
    list_select_related = ["channel", "receiver__user", "event__alert__rule", "event__alert__site", "event__alert__miner"]
    list_display_links = None
    list_fullwidth = True
    date_hierarchy = "created_at"
    actions = ["try_again"]
    empty_text = _("Nothing was sent yet.")

    since = units.ago_column("created_at", _("since"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Delivery.objects.filter(event__alert__in=Alert.objects.visible_to(request.user))

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("alerts.change_notificationchannel")

    @admin.action(description=_("Try again now"), permissions=["resend"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        now = timezone.now()
        picked = Delivery.objects.filter(pk__in=queryset.order_by().values("pk")).exclude(state=DeliveryState.SENT)
        count = picked.update(state=DeliveryState.PENDING, created_at=now, next_attempt_at=now, attempts=0)
        self.message_user(request, ngettext("%d goes out within a minute.", "%d go out within a minute.", count) % count)

    @admin.display(description=_("alert"))
    def what(self, delivery: Delivery) -> str:
        alert = delivery.event.alert
        return format_html('<a href="{}">{}</a>', reverse("console:alert", args=[alert.pk]), headline(alert))

    @admin.display(description=_("event"))
    def event_kind(self, delivery: Delivery) -> str:
        return str(delivery.event.get_kind_display())

    @admin.display(description=_("to"), ordering="channel")
    def to(self, delivery: Delivery) -> str:
        return f"{delivery.channel} · {delivery.receiver}" if delivery.receiver else str(delivery.channel)

    @admin.display(description=_("delivered, or next attempt"))
    def when(self, delivery: Delivery) -> str:
        if delivery.sent_at:
            return units.ago(delivery.sent_at)
        if delivery.state == DeliveryState.GIVEN_UP:
            return units.DASH
        seconds = (delivery.next_attempt_at - timezone.now()).total_seconds()
        return str(_("in %(duration)s") % {"duration": units.duration(seconds)}) if seconds > 0 else str(_("within a minute"))

    @display(description=_("state"), ordering="state", label=DELIVERY_COLOURS)
    def outcome(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.state, delivery.get_state_display()
