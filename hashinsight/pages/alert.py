"""An alert's own page: what is wrong since when, its miners and its chart, who was told, and what one can do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from alerts import lifecycle
from alerts.models import Alert, AlertEvent, Delivery, DeliveryState, RuleKind
from alerts.wording import describe, headline
from hashinsight.pages.access import alert_or_404
from preferences.wishes import in_zone_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MEMBERS_AT_MOST = 100
EVENTS_A_PAGE = 200
SILENCES = [
    (60, gettext_lazy("1 hour")),
    (240, gettext_lazy("4 hours")),
    (1440, gettext_lazy("1 day")),
    (10_080, gettext_lazy("1 week")),
]
"""Minutes, as they are offered."""
CHARTS = {
    RuleKind.TEMPERATURE_HIGH: "temperature",
    RuleKind.FAN_FAILED: "fans",
    RuleKind.POWER_HIGH: "power",
    RuleKind.SITE_POWER_STEP: "power",
}
CHART_TITLES = {
    "hashrate": gettext_lazy("Hash rate"),
    "temperature": gettext_lazy("Temperature"),
    "power": gettext_lazy("Power"),
    "fans": gettext_lazy("Fans"),
}
LEVELS = {
    DeliveryState.PENDING: "info",
    DeliveryState.SENT: "success",
    DeliveryState.FAILED: "warning",
    DeliveryState.GIVEN_UP: "danger",
}


def overview(request: HttpRequest, pk: int) -> HttpResponse:
    alert = alert_or_404(request, pk)
    with in_zone_of(request, _zone(alert)):
        context = {**admin.site.each_context(request), "title": headline(alert), **_context(request, alert, now=timezone.now())}
        return render(request, "console/alert.html", context)


def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that is fetched again while it is open."""
    alert = alert_or_404(request, pk)
    with in_zone_of(request, _zone(alert)):
        return render(request, "console/alert_live.html", _context(request, alert, now=timezone.now()))


def _zone(alert: Alert) -> str:
    return alert.site.timezone if alert.site else settings.TIME_ZONE


def _context(request: HttpRequest, alert: Alert, *, now: datetime) -> dict[str, Any]:
    chart = CHARTS.get(RuleKind(alert.rule.kind), "hashrate")
    members = (
        alert.members.exclude(alert__scope=Alert.Scope.MINER)
        .select_related("miner")
        .order_by(F("left_at").desc(nulls_first=True), "miner__miner_id")
    )
    page = Paginator(alert.events.select_related("by").order_by("-at", "-pk"), EVENTS_A_PAGE).get_page(request.GET.get("p"))
    return {
        "alert": alert,
        "now": now,
        "headline": headline(alert),
        "description": describe(alert)[1:],
        "members": list(members[:MEMBERS_AT_MOST]),
        "members_left_out": max(0, alert.member_count - MEMBERS_AT_MOST),
        "page": page,
        "timeline": _timeline(page),
        "chart": chart,
        "chart_title": CHART_TITLES[chart],
        "silences": SILENCES,
        "may_act": request.user.has_perm("alerts.change_alert"),
        "may_silence": request.user.has_perm("alerts.add_silence"),
    }


def _timeline(events: Iterable[AlertEvent]) -> list[dict[str, Any]]:
    """What happened, each with whom it was told to."""
    deliveries: dict[int, list[Delivery]] = {}
    told = Delivery.objects.filter(event__in=[event.pk for event in events]).select_related("channel", "receiver__user").order_by("pk")
    for delivery in told:
        deliveries.setdefault(delivery.event_id, []).append(delivery)
    rows = {pk: [{"row": row, "level": LEVELS[DeliveryState(row.state)]} for row in sent] for pk, sent in deliveries.items()}
    return [{"event": event, "remark": _remark(event), "deliveries": rows.get(event.pk, [])} for event in events]


def _remark(event: AlertEvent) -> str:
    """What was written, or what the event's details say."""
    details = event.details
    if event.text:
        return event.text
    if event.kind == AlertEvent.Kind.ESCALATED:
        return _("not acknowledged for %(minutes)d min: %(channel)s is told") % {
            "minutes": details.get("after_minutes", 0),
            "channel": details.get("channel", ""),
        }
    if into := details.get("into"):
        return _("now part of %(whole)s") % {"whole": into}
    if count := details.get("miners"):
        return ngettext("%(count)d miner", "%(count)d miners", count) % {"count": count}
    return ""


@require_POST
def act(request: HttpRequest, pk: int) -> HttpResponse:
    """One of the buttons: acknowledge, comment, silence, resolve."""
    alert = alert_or_404(request, pk)
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        return HttpResponseBadRequest("unknown action")
    try:
        messages.success(request, action(request, alert))
    except lifecycle.AlertOver as over:
        messages.warning(request, str(over))
    return HttpResponseRedirect(reverse("console:alert", args=[pk]))


def _person(request: HttpRequest, permission: str) -> AbstractBaseUser:
    """Who asks, if they may."""
    if not request.user.is_authenticated or not request.user.has_perm(permission):
        raise PermissionDenied
    return request.user


def _note(request: HttpRequest) -> str:
    return request.POST.get("note", "").replace("\x00", "").strip()


def _acknowledge(request: HttpRequest, alert: Alert) -> str:
    person = _person(request, "alerts.change_alert")
    lifecycle.acknowledge(alert, by=person, note=_note(request), now=timezone.now())
    return _("Acknowledged: nobody else is called.")


def _comment(request: HttpRequest, alert: Alert) -> str:
    person = _person(request, "alerts.change_alert")
    if not _note(request):
        return _("Nothing was written.")
    lifecycle.comment(alert, by=person, text=_note(request), now=timezone.now())
    return _("The comment is on the timeline.")


def _silence(request: HttpRequest, alert: Alert) -> str:
    person = _person(request, "alerts.add_silence")
    asked = request.POST.get("minutes", "")
    minutes = int(asked) if asked in {str(offered) for offered, _label in SILENCES} else SILENCES[0][0]
    now = timezone.now()
    until = now + timedelta(minutes=minutes)
    lifecycle.silence_for(alert, until=until, by=person, reason=_note(request) or headline(alert), now=now)
    return _("Silenced until %(time)s.") % {"time": f"{timezone.localtime(until):%Y-%m-%d %H:%M %Z}"}


def _resolve(request: HttpRequest, alert: Alert) -> str:
    person = _person(request, "alerts.change_alert")
    lifecycle.resolve_by_hand(alert, by=person, note=_note(request), now=timezone.now())
    return _("Resolved. The same is raised again only after it was good once.")


ACTIONS: dict[str, Callable[[HttpRequest, Alert], str]] = {
    "acknowledge": _acknowledge,
    "comment": _comment,
    "silence": _silence,
    "resolve": _resolve,
}
