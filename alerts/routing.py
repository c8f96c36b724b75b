"""From what happened to whom it is told: the outbox of events becomes deliveries, each event once for each channel.

Told is that an alert opened, that it grew to twice what was told before, that nobody acknowledges it, and that it is over. Everything else
is on its timeline. One that comes back after its end was told is told anew. A part that splits off is no news to whoever knows of the
whole. While an alert is silenced its news waits here; if it is over before the silence is, nobody hears of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q

from alerts.models import Alert, AlertEvent, ChannelKind, ChannelReceiver, Delivery, NotificationChannel

EVENTS_AT_ONCE = 1_000
GROWTH = 2
"""Told again when so many times as many miners are concerned as were told of."""
BEGINNING = (AlertEvent.Kind.OPENED, AlertEvent.Kind.SPLIT)
OPENING = (*BEGINNING, AlertEvent.Kind.GREW)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """A channel with what decides whether it is told."""

    channel: NotificationChannel
    sites: frozenset[int]
    receivers: list[ChannelReceiver]

    def covers(self, alert: Alert) -> bool:
        """By site alone: no site chosen means all, and what concerns this server itself."""
        return not self.sites or alert.site_id in self.sites

    def wants(self, alert: Alert) -> bool:
        channel = self.channel
        return not channel.escalation_only and self.covers(alert) and channel.tells_of(alert.severity)

    def deliveries(self, event: AlertEvent, *, now: datetime) -> list[Delivery]:
        """One, or one for each receiver; due when the hours begin and the time of collecting is over."""
        receivers: Sequence[ChannelReceiver | None] = self.receivers or [None]
        due = self.channel.next_on_call(now) + timedelta(minutes=self.channel.digest_minutes)
        return [
            Delivery(
                event=event,
                channel=self.channel,
                receiver=receiver,
                created_at=now,
                next_attempt_at=due,
                members_told=event.alert.member_count,
            )
            for receiver in receivers
        ]


def routes() -> list[Route]:
    """The channels that are switched on. A person without an address, or who has left, is not written to."""
    channels = NotificationChannel.objects.filter(is_enabled=True).prefetch_related("sites", "receivers__user")
    return [Route(channel, frozenset(site.pk for site in channel.sites.all()), _reachable(channel)) for channel in channels]


def _reachable(channel: NotificationChannel) -> list[ChannelReceiver]:
    if channel.kind != ChannelKind.EMAIL:
        return []
    return [receiver for receiver in channel.receivers.all() if receiver.user.is_active and receiver.user.email]


def route(*, now: datetime) -> int:
    """Make deliveries of the events that nobody has routed yet; how many were made. A storm is taken in committed pieces."""
    made = 0
    while (piece := _route_some(now=now)) is not None:
        made += piece
    return made


@transaction.atomic
def _route_some(*, now: datetime) -> int | None:
    """None when the outbox is empty."""
    events = list(_outbox())
    if not events:
        return None
    told = _told({event.alert_id for event in events})
    known = routes()
    made: list[Delivery] = []
    for event in events:
        chosen = _chosen(event, known, told[event.alert_id], now=now)
        made += [delivery for route in chosen for delivery in route.deliveries(event, now=now)]
        _note(told[event.alert_id], event.kind, {route.channel.pk: event.alert.member_count for route in chosen})
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    AlertEvent.objects.filter(pk__in=[event.pk for event in events]).update(routed_at=now)
    log.info("alerts_routed", events=len(events), deliveries=len(made))
    return len(made)


def _outbox() -> Iterable[AlertEvent]:
    """What is not routed yet; the opening and the growth of an alert that is silenced now stay in the outbox."""
    held = Q(kind__in=OPENING, alert__is_silenced=True, alert__resolved_at=None)
    events = AlertEvent.objects.filter(routed_at=None).exclude(held).select_related("alert")
    return events.select_for_update(of=("self",), skip_locked=True).order_by("pk")[:EVENTS_AT_ONCE]


def _told(alerts: Collection[int]) -> dict[int, dict[int, int]]:
    """Of how many miners each channel knows, by alert and channel, since the alert last began; of a part, what was told of the whole."""
    told: dict[int, dict[int, int]] = defaultdict(dict)
    whole = _wholes(alerts)
    rows = Delivery.objects.filter(event__alert__in={*alerts, *whole.values()}).order_by("event", "pk")
    for alert, kind, channel, members in rows.values_list("event__alert", "event__kind", "channel", "members_told"):
        _note(told[alert], kind, {channel: members})
    for part, alert in whole.items():
        told[part] = {**dict.fromkeys(told[alert], 0), **told[part]} if told[part] else dict(told[alert])
    return told


def _note(told: dict[int, int], kind: str, members: dict[int, int]) -> None:
    """What channels know after they were told of an event; what is over is forgotten, so that its return is news."""
    for channel, count in members.items():
        if kind == AlertEvent.Kind.RESOLVED:
            told.pop(channel, None)
        else:
            told[channel] = max(count, told.get(channel, 0))


def _wholes(alerts: Collection[int]) -> dict[int, int]:
    """The alert that each of `alerts` split off from, of those that did."""
    split = AlertEvent.objects.filter(alert__in=alerts, kind=AlertEvent.Kind.SPLIT, details__of_alert__isnull=False)
    return dict(split.values_list("alert", "details__of_alert"))


def _chosen(event: AlertEvent, known: list[Route], told: dict[int, int], *, now: datetime) -> list[Route]:
    """Whom to tell of the event. `told` is of how many miners of its alert each channel knows."""
    alert = event.alert
    if event.kind == AlertEvent.Kind.RESOLVED:
        return [route for route in known if route.channel.pk in told and route.channel.tells_resolved]
    if event.kind not in OPENING or _is_no_news(event):
        return []
    interested = [route for route in known if route.wants(alert) or (route.channel.pk in told and route.covers(alert))]
    new = [route for route in interested if _is_larger(alert, told.get(route.channel.pk))]
    return _on_call(new, now=now) if event.kind in BEGINNING else [route for route in new if route.channel.is_on_call(now)]


def _is_no_news(event: AlertEvent) -> bool:
    """It is over, and nobody was to hear of it or it goes on as part of a larger one; or it is a part itself."""
    if "of_alert" in event.details:
        return True
    alert = event.alert
    return alert.resolved_at is not None and (alert.is_silenced or alert.events.filter(kind=AlertEvent.Kind.MERGED).exists())


def _is_larger(alert: Alert, told_of: int | None) -> bool:
    return told_of is None or alert.member_count >= max(told_of, 1) * GROWTH


def _on_call(routes: list[Route], *, now: datetime) -> list[Route]:
    """Those on call now; if nobody is, those who are next."""
    if not routes:
        return []
    begins = {route.channel.pk: route.channel.next_on_call(now) for route in routes}
    soonest = max(now, min(begins.values()))
    return [route for route in routes if begins[route.channel.pk] <= soonest]
