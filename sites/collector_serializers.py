"""What collectors say of themselves, as it comes in, with its bounds. Fields that this server does not know are ignored."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC
from typing import Any

from rest_framework import serializers

EVENTS_AT_MOST = 500
DETAILS_AT_MOST = 4_000
"""Characters of an event's details, as JSON."""
LARGEST = 2**63 - 1
UNSTORABLE = re.compile(r"[\ud800-\udfff]|\\u0000")
"""Lone surrogates and NUL, which PostgreSQL does not take as text."""


class FiniteField(serializers.FloatField):
    """A number; infinity and what is none are refused."""

    def to_internal_value(self, data: Any) -> float:
        value: float = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class UtcField(serializers.DateTimeField):
    """ISO 8601; UTC when it has no offset."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)


def _whole(largest: int, smallest: int = 0, **options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=smallest, max_value=largest, required=False, allow_null=True, **options)


def _known(**options: Any) -> Any:
    return UtcField(required=False, allow_null=True, **options)


class NamesSerializer(serializers.Serializer[Any]):
    """Which collector of the site it is. Absent, `X-Device-ID` and `X-Zone-ID` say it."""

    device_id = serializers.CharField(max_length=100, required=False, allow_blank=True)
    zone_id = serializers.CharField(max_length=50, required=False, allow_blank=True)


class HeartbeatSerializer(NamesSerializer):
    """How the collector is. What is left out or null is unknown; times are by its own clock."""

    version = serializers.CharField(max_length=50, required=False, allow_blank=True, default="")
    started_at = _known()
    sent_at = _known()
    interval_seconds = FiniteField(min_value=0, max_value=86_400, default=60, help_text="Between two heartbeats.")
    miners = _whole(10_000_000, help_text="In its inventory.")
    poll_duration_ms = FiniteField(min_value=0, max_value=1e9, required=False, allow_null=True)
    spool_records = _whole(LARGEST, help_text="Readings that wait, those on their way included.")
    spool_bytes = _whole(LARGEST)
    spool_oldest_at = _known(help_text="Time of the oldest reading that waits.")
    last_acked_seq = _whole(LARGEST, -1)
    clock_offset_ms = FiniteField(
        min_value=-1e15, max_value=1e15, required=False, allow_null=True, help_text="The server's clock less its own."
    )
    commands_open = _whole(1_000_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """All fields, None for what was not said: a heartbeat says all that is known."""
        unsaid = dict.fromkeys(self.get_fields().keys() - NamesSerializer().get_fields().keys())
        whole = {"interval_seconds": max(1, math.ceil(attrs["interval_seconds"]))}
        return {**unsaid, **attrs, **whole}


class HeartbeatAnswerSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(default=True)
    server_time = serializers.DateTimeField()
    key_rotation_available = serializers.BooleanField(help_text="Fetch a new key with `POST /api/edge/v1/key/rotate`.")


class EventSerializer(serializers.Serializer[Any]):
    """One thing that the collector did or lost. `event_id` is its own for good: sent again, it is kept once."""

    event_id = serializers.UUIDField()
    kind = serializers.CharField(
        max_length=40, help_text="`spool_dropped`, `safety_action`, `discovery`, `configuration`, `started`, `stopped`, or another word."
    )
    at = UtcField()
    miner_id = serializers.CharField(max_length=50, required=False, allow_blank=True, allow_null=True)
    message = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    details = serializers.DictField(required=False, allow_null=True)

    def validate_details(self, value: dict[str, Any] | None) -> dict[str, Any]:
        try:
            text = json.dumps(value or {}, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):
            raise serializers.ValidationError("Numbers must be finite, and not nested without end.")
        if len(text) > DETAILS_AT_MOST:
            raise serializers.ValidationError(f"At most {DETAILS_AT_MOST:,} characters of JSON.")
        if UNSTORABLE.search(text):
            raise serializers.ValidationError("NUL and half characters can't be stored.")
        return value or {}


class EventsSerializer(NamesSerializer):
    """Events are read one by one: one that can't be kept does not cost the others."""

    events = serializers.ListField(child=serializers.JSONField(), max_length=EVENTS_AT_MOST)


class EventErrorSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Position in the list, from 0.")
    reason = serializers.CharField()


class EventsAnswerSerializer(serializers.Serializer[Any]):
    """`accepted` are kept, from now or from before; `errors` need not be sent again."""

    success = serializers.BooleanField(default=True)
    accepted = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        # As an attribute, this name would hide DRF's own property.
        return {**super().get_fields(), "errors": EventErrorSerializer(many=True)}


class ReplacementSerializer(serializers.Serializer[Any]):
    """The one answer that holds the new key."""

    success = serializers.BooleanField(default=True)
    key = serializers.CharField(help_text="The new key. Keep it before you use it.")
    expires_old_at = serializers.DateTimeField(
        help_text="Until then the old one works too; it ends early after a heartbeat with the new one."
    )
