"""Collector keys, for staff; heartbeats, events and new keys, for collectors."""

from __future__ import annotations

from sites.api import endpoint
from sites.collector_views import EventsView, HeartbeatView, KeyReplacementView
from sites.views import KeyRotationView, KeysView, KeyView

urlpatterns = [
    *endpoint("collector/keys", KeysView, name="collector-keys"),
    *endpoint("collector/keys/<int:key_id>", KeyView, name="collector-key"),
    *endpoint("collector/keys/<int:key_id>/rotate", KeyRotationView, name="collector-key-rotate"),
    *endpoint("edge/v1/heartbeat", HeartbeatView, name="edge-heartbeat"),
    *endpoint("edge/v1/events", EventsView, name="edge-events"),
    *endpoint("edge/v1/key/rotate", KeyReplacementView, name="edge-key-rotate"),
]
