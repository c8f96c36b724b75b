"""What collectors say of themselves: heartbeats and events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from sites.keys import confirm_replacement
from sites.models import SILENT_INTERVALS, Collector, CollectorEvent, CollectorKey, Site

COLLECTORS_AT_MOST = 200
"""Of one site: whoever has a key could name a new device with each request."""
DROPPED = "spool_dropped"

log = structlog.get_logger(__name__)


class TooManyCollectors(Exception):
    """The site has COLLECTORS_AT_MOST already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a collector did or lost. `details` is JSON that every database stores."""

    event_id: UUID
    kind: str
    at: datetime
    miner_id: str = ""
    message: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def collector_of(site: Site, *, device_id: str, zone_id: str) -> Collector:
    """The site's collector of that device and zone, made when it is heard of for the first time. Raises TooManyCollectors."""
    names = {"site": site, "device_id": device_id, "zone_id": zone_id}
    found = Collector.objects.filter(**names).first()
    if found is not None:
        return found
    if Collector.objects.filter(site=site).count() >= COLLECTORS_AT_MOST:
        raise TooManyCollectors(f"Site {site.code} has {COLLECTORS_AT_MOST} collectors already: give each one device_id and keep it.")
    try:
        with transaction.atomic():
            made = Collector.objects.create(**names)
    except IntegrityError:  # its other thread was faster
        return Collector.objects.get(**names)
    log.info("collector_registered", site_id=site.code, device_id=device_id, zone_id=zone_id)
    return made


@transaction.atomic
def record_heartbeat(
    key: CollectorKey, *, device_id: str, zone_id: str, now: datetime, client_address: str | None, **said: Any
) -> Collector:
    """Keep what the collector said of itself; what it left out is unknown from now on. Raises TooManyCollectors.

    `said` are fields of `Collector`. A heartbeat with a fetched key confirms that key.
    """
    collector = collector_of(key.site, device_id=device_id, zone_id=zone_id)
    said["silent_from"] = now + timedelta(seconds=said["interval_seconds"] * SILENT_INTERVALS)
    Collector.objects.filter(pk=collector.pk).update(key=key, heartbeat_at=now, client_address=client_address, **said)
    confirm_replacement(key, now=now)
    return collector


@transaction.atomic
def record_events(key: CollectorKey, events: Sequence[Event], *, device_id: str, zone_id: str, now: datetime) -> int:
    """Keep `events`, each once whatever is sent again; how many of them are kept now, be it from before. Raises TooManyCollectors."""
    collector = collector_of(key.site, device_id=device_id, zone_id=zone_id)
    rows = [
        CollectorEvent(
            site=key.site,
            collector=collector,
            event_id=event.event_id,
            kind=event.kind,
            at=event.at,
            received_at=now,
            miner_id=event.miner_id,
            message=event.message,
            details=event.details,
            is_due=event.kind == DROPPED,
        )
        for event in events
    ]
    CollectorEvent.objects.bulk_create(rows, ignore_conflicts=True)
    for event in events:
        log.info(
            "collector_event", site_id=key.site.code, device_id=device_id, zone_id=zone_id, kind=event.kind, event_id=str(event.event_id)
        )
    return len(rows)
