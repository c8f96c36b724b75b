"""Makers of what tells people: channels, receivers, and events as the evaluation writes them."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from alerts.models import Alert, AlertEvent, ChannelReceiver, NotificationChannel
from alerts.transport import read_address

_numbers = itertools.count(1)


def make_channel(url: str = "json://203.0.113.9/hook", **fields: Any) -> NotificationChannel:
    """A channel that tells everything at once; with `sites`, of those."""
    sites = fields.pop("sites", ())
    address = read_address(url)
    channel = NotificationChannel(
        **{"name": f"channel {next(_numbers)}", "kind": address.kind, "target": address.target, "minimum_severity": "info", **fields}
    )
    channel.seal_url(url)
    channel.save()
    channel.sites.set(sites)
    return channel


def make_receiver(channel: NotificationChannel, user: User, language: str = "en") -> ChannelReceiver:
    return ChannelReceiver.objects.create(channel=channel, user=user, language=language)


def happened(alert: Alert, kind: AlertEvent.Kind, at: datetime, **fields: Any) -> AlertEvent:
    return AlertEvent.objects.create(alert=alert, kind=kind, at=at, **fields)


def resolve(alert: Alert, at: datetime) -> AlertEvent:
    """As the evaluation does it."""
    alert.state, alert.resolved_at, alert.member_count = Alert.State.RESOLVED, at, 0
    alert.save()
    return happened(alert, AlertEvent.Kind.RESOLVED, at)
