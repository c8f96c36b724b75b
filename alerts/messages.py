"""The text that goes out: one alert at length, several in a list, each with its link, in the receiver's language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from alerts.models import Alert, AlertEvent, Delivery, NotificationChannel
from alerts.models.channels import rank
from alerts.transport import Message
from alerts.wording import describe, headline

LISTED = 20
"""Alerts named in one message; chats cut long ones off."""
LISTED_FOR_MACHINES = 1_000
RESOLVED = "resolved"
Kind = AlertEvent.Kind


def compose(deliveries: Sequence[Delivery], *, language: str) -> Message:
    """One message of all `deliveries`, which are for one receiver. Their events' alerts are read with rule, site and miner."""
    news = _newest([delivery.event for delivery in deliveries])
    with translation.override(language):
        title, body = _at_length(news[0]) if len(news) == 1 else _as_list(news)
        return Message(title=title, body=body, level=_level(news), alerts=[_for_machines(event) for event in news[:LISTED_FOR_MACHINES]])


def trial_message(channel: NotificationChannel, *, language: str) -> Message:
    with translation.override(language):
        title = _("Test message of HashInsight")
        body = _("The channel “%(channel)s” works. Alerts will arrive here.") % {"channel": channel.name}
        return Message(title=title, body=f"{body}\n{settings.BASE_URL}", level="info")


def alert_address(alert: Alert) -> str:
    return settings.BASE_URL + reverse("console:alert", args=[alert.pk])


def _newest(events: Sequence[AlertEvent]) -> list[AlertEvent]:
    """The last event of each alert, the worst alerts first and what is over last: what is over needs no "it grew"."""
    chosen = {event.alert_id: event for event in sorted(events, key=lambda event: event.pk)}
    return sorted(chosen.values(), key=lambda event: (_is_over(event), -rank(event.alert.severity), event.pk))


def _is_over(event: AlertEvent) -> bool:
    return event.kind == Kind.RESOLVED


def _level(news: Sequence[AlertEvent]) -> str:
    return RESOLVED if _is_over(news[0]) else str(news[0].alert.severity)


def _line(event: AlertEvent) -> str:
    text = headline(event.alert)
    if _is_over(event):
        return _("[over] %(what)s") % {"what": text}
    if event.kind == Kind.ESCALATED:
        minutes = event.details["after_minutes"]
        text = _("not acknowledged for %(minutes)d min: %(what)s") % {"minutes": minutes, "what": text}
    elif event.kind == Kind.GREW:
        text = _("more miners: %(what)s") % {"what": text}
    elif event.alert.is_flapping:
        text = _("comes and goes: %(what)s") % {"what": text}
    elif event.details.get("again"):
        text = _("again: %(what)s") % {"what": text}
    return f"[{event.alert.get_severity_display()}] {text}"


def _at_length(event: AlertEvent) -> tuple[str, str]:
    return _line(event), "\n".join([*describe(event.alert), alert_address(event.alert)])


def _as_list(news: Sequence[AlertEvent]) -> tuple[str, str]:
    over = sum(map(_is_over, news))
    counts = [
        ngettext("%(count)d alert", "%(count)d alerts", len(news) - over) % {"count": len(news) - over} if len(news) > over else "",
        ngettext("%(count)d over", "%(count)d over", over) % {"count": over} if over else "",
    ]
    sites = {event.alert.site.name if event.alert.site else _("This server") for event in news}
    where = sites.pop() if len(sites) == 1 else _("%(count)d sites") % {"count": len(sites)}
    lines = [f"{_line(event)}\n{alert_address(event.alert)}" for event in news[:LISTED]]
    if (more := len(news) - LISTED) > 0:
        lines.append(ngettext("and %(count)d more", "and %(count)d more", more) % {"count": more})
    lines.append(_("All alerts: %(address)s") % {"address": settings.BASE_URL + reverse("admin:alerts_alert_changelist")})
    return f"{where}: {', '.join(filter(None, counts))}", "\n\n".join(lines)


def _for_machines(event: AlertEvent) -> dict[str, Any]:
    """What a webhook gets of an alert, by the names and units of the API."""
    alert = event.alert
    return {
        "id": alert.pk,
        "event": event.kind,
        "state": alert.state,
        "severity": alert.severity,
        "kind": alert.rule.kind,
        "site_id": alert.site.code if alert.site else None,
        "scope": alert.scope,
        "scope_key": alert.scope_key,
        "miner_id": alert.miner.miner_id if alert.miner else None,
        "miners": alert.member_count,
        "value": alert.value,
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        "headline": headline(alert),
        "url": alert_address(alert),
    }
