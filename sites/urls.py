"""Collector keys, for staff."""

from __future__ import annotations

from sites.api import endpoint
from sites.views import KeyRotationView, KeysView, KeyView

urlpatterns = [
    *endpoint("collector/keys", KeysView, name="collector-keys"),
    *endpoint("collector/keys/<int:key_id>", KeyView, name="collector-key"),
    *endpoint("collector/keys/<int:key_id>/rotate", KeyRotationView, name="collector-key-rotate"),
]
