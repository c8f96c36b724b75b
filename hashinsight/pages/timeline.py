"""What happened to one miner, newest first: commands, alerts, changes of its state and of its configuration, in one list.

A further source is a function that takes a `Window` and yields `Event`s, and a line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, Window
from django.db.models.functions import Lag
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from alerts.models import AlertMember
from commands.models import CommandStatus, MinerCommand, Verification
from hashinsight.pages.access import miner_or_404
from miners.models import Miner
from preferences.wishes import in_zone_of
from sites.changes import read_changes
from telemetry import gaps, units
from telemetry.models import MinerTelemetryHistory

AT_MOST = 200
DAYS = (1, 7, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `kind` is one of KINDS, `level` a colour: success, info, warning, danger or default."""

    at: datetime
    kind: str
    text: str
    level: str = "default"
    detail: str = ""
    who: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whose events of which time, and who wants to see them."""

    miner: Miner
    user: Any
    start: datetime
    end: datetime


KINDS = {
    "command": (gettext_lazy("Command"), "send"),
    "alert": (gettext_lazy("Alert"), "notifications"),
    "state": (gettext_lazy("State"), "monitor_heart"),
    "configuration": (gettext_lazy("Configuration"), "edit"),
}


def commands(span: Span) -> Iterator[Event]:
    if not span.user.has_perm("commands.view_minercommand"):
        return
    asked = MinerCommand.objects.filter(miner=span.miner, created_at__gte=span.start, created_at__lt=span.end)
    for command in asked.select_related("requested_by").order_by("-created_at")[:AT_MOST]:
        outcome = [command.get_status_display(), command.get_verification_display() if command.verified_at else "", command.result_message]
        yield Event(
            at=command.created_at,
            kind="command",
            level=_command_level(command),
            text=f"{command.get_command_display()}: {' · '.join(str(part) for part in outcome if part)}",
            detail=command.reason,
            who=str(command.requested_by or ""),
            link=reverse("admin:commands_minercommand_change", args=[command.pk]),
        )


def _command_level(command: MinerCommand) -> str:
    if command.verification == Verification.VERIFIED:
        return "success"
    if command.status == CommandStatus.FAILED or command.verification == Verification.NOT_VERIFIED:
        return "danger"
    return "warning" if command.status == CommandStatus.EXPIRED else "info"


def alerts(span: Span) -> Iterator[Event]:
    if not span.user.has_perm("alerts.view_alert"):
        return
    members = AlertMember.objects.filter(miner=span.miner, joined_at__gte=span.start, joined_at__lt=span.end)
    for member in members.select_related("alert__rule").order_by("-joined_at")[:AT_MOST]:
        alert = member.alert
        until = member.left_at or alert.resolved_at
        lasted = units.duration((until - member.joined_at).total_seconds()) if until else _("still open")
        yield Event(
            at=member.joined_at,
            kind="alert",
            level="default" if until else "danger",
            text=f"{alert.rule}: {alert.get_severity_display()} · {lasted}",
            detail=f"{alert.get_scope_display()} {alert.scope_key}".strip() if alert.scope != alert.Scope.MINER else "",
            link=reverse("console:alert", args=[alert.pk]),
        )


def silences(span: Span) -> Iterator[Event]:
    """Times without readings, of the miner and of its whole site."""
    for gap in gaps.of_miner(span.miner, start=span.start, end=span.end).order_by("-started_at")[:AT_MOST]:
        lasted = units.duration((gap.ended_at - gap.started_at).total_seconds()) if gap.ended_at else _("until now")
        text = _("No readings for %(duration)s") % {"duration": lasted} if gap.ended_at else _("No readings since then")
        yield Event(at=gap.started_at, kind="state", level="warning", text=text, detail=str(gap.get_cause_display()))


def states(span: Span) -> Iterator[Event]:
    """Where one reading said something else than the one before: gone, back, asleep, too hot, or up for a shorter time."""
    readings = MinerTelemetryHistory.objects.filter(miner_id=span.miner.pk, timestamp__gte=span.start, timestamp__lt=span.end).annotate(
        online_before=Window(Lag("online"), order_by=F("timestamp").asc()),
        mining_state_before=Window(Lag("mining_state"), order_by=F("timestamp").asc()),
        uptime_seconds_before=Window(Lag("uptime_seconds"), order_by=F("timestamp").asc()),
    )
    changed = ~Q(online=F("online_before"))
    woke = Q(online=True, online_before=True) & ~Q(mining_state=F("mining_state_before"))
    restarted = Q(uptime_seconds__lt=F("uptime_seconds_before"))
    turns = readings.filter(online_before__isnull=False).filter(changed | woke | restarted)
    for reading in turns.order_by("-timestamp")[:AT_MOST]:
        yield _turn(reading)


def _turn(reading: Any) -> Event:
    if not reading.online:
        text, level = TURNS["offline"]
    elif not reading.online_before:
        text, level = TURNS["online"]
    elif reading.mining_state != reading.mining_state_before:
        text, level = TURNS.get(reading.mining_state, TURNS["unknown"])
    else:
        text, level = TURNS["restarted"]
    return Event(at=reading.timestamp, kind="state", level=level, text=str(text), detail=reading.error_type or "")


TURNS = {
    "offline": (gettext_lazy("offline"), "danger"),
    "online": (gettext_lazy("online again"), "success"),
    "restarted": (gettext_lazy("restarted"), "info"),
    "unknown": (gettext_lazy("state unknown"), "default"),
    "mining": (gettext_lazy("mining"), "success"),
    "sleeping": (gettext_lazy("sleeping"), "info"),
    "overheated": (gettext_lazy("overheated"), "danger"),
    "fault": (gettext_lazy("reports a fault"), "danger"),
}


def configuration(span: Span) -> Iterator[Event]:
    """What people, and imports, changed of the miner's row."""
    records = Miner.changes.filter(id=span.miner.pk, history_date__gte=span.start, history_date__lt=span.end)
    for change in read_changes(records.order_by("-history_date", "-history_id")[:AT_MOST]):
        text = "; ".join(f"{field.label}: {field.before} → {field.after}" for field in change.fields)
        if text or change.kind != "~":
            yield Event(at=change.at, kind="configuration", level="info", text=text or _("added"), detail=change.reason, who=change.who)


SOURCES: tuple[Callable[[Span], Iterator[Event]], ...] = (commands, alerts, silences, states, configuration)


def events_of(span: Span) -> list[Event]:
    """Newest first, at most AT_MOST of all sources together."""
    found = [event for source in SOURCES for event in source(span)]
    return sorted(found, key=lambda event: event.at, reverse=True)[:AT_MOST]


def timeline(request: HttpRequest, pk: int) -> HttpResponse:
    miner = miner_or_404(request, pk)
    days = request.GET.get("days", "1")
    if days not in map(str, DAYS):
        raise Http404(f"days is one of {', '.join(map(str, DAYS))}")
    now = timezone.now()
    events = events_of(Span(miner=miner, user=request.user, start=now - timedelta(days=int(days)), end=now))
    kind = request.GET.get("kind", "")
    shown = [event for event in events if kind in ("", event.kind)]
    context = {"miner": miner, "now": now, "days": int(days), "choices": DAYS, "kind": kind, "kinds": KINDS, "at_most": AT_MOST}
    with in_zone_of(request, miner.site.timezone):
        return render(request, "console/timeline.html", {**context, "events": [(event, *KINDS[event.kind]) for event in shown]})
