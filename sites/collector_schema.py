"""Examples and answers of the collectors' own endpoints, for OpenAPI."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from sites.collector_serializers import EventsAnswerSerializer, HeartbeatAnswerSerializer, ReplacementSerializer

NAME_HEADERS = [
    OpenApiParameter("X-Device-ID", str, OpenApiParameter.HEADER, description="The collector's own name, when the body has none."),
    OpenApiParameter("X-Zone-ID", str, OpenApiParameter.HEADER, description="Its part of the site, when the body has none."),
]
HEARTBEAT = OpenApiExample(
    "Heartbeat",
    value={
        "device_id": "edge-7",
        "zone_id": "B",
        "version": "0.1.0",
        "started_at": "2026-11-24T06:00:00Z",
        "sent_at": "2026-11-24T11:26:32Z",
        "interval_seconds": 60,
        "miners": 1000,
        "poll_duration_ms": 5120.5,
        "spool_records": 1000,
        "spool_bytes": 180_224,
        "spool_oldest_at": "2026-11-24T11:26:30Z",
        "last_acked_seq": 326_000,
        "clock_offset_ms": -12.5,
        "commands_open": 0,
    },
    request_only=True,
)
WELL = OpenApiResponse(
    HeartbeatAnswerSerializer,
    description="Kept.",
    examples=[
        OpenApiExample(
            "Well",
            value={"success": True, "server_time": "2026-11-24T11:26:32.512000+00:00", "key_rotation_available": False},
            response_only=True,
        )
    ],
)
EVENTS = OpenApiExample(
    "Dropped readings",
    value={
        "device_id": "edge-7",
        "zone_id": "B",
        "events": [
            {
                "event_id": "0b8f7c0e-6f0d-4a36-9a3f-8a6f0f6f0d11",
                "kind": "spool_dropped",
                "at": "2026-11-24T11:26:32Z",
                "message": "the spool is full",
                "details": {
                    "seq_start": 1,
                    "seq_end": 60_000,
                    "from": "2026-11-23T10:00:00Z",
                    "to": "2026-11-23T11:00:00Z",
                    "records": 60_000,
                    "reason": "size",
                },
            }
        ],
    },
    request_only=True,
)
SOME_KEPT = OpenApiResponse(
    EventsAnswerSerializer,
    description="Kept, but for those under `errors`.",
    examples=[OpenApiExample("Kept", value={"success": True, "accepted": 1, "errors": []}, response_only=True)],
)
REPLACED = OpenApiResponse(
    ReplacementSerializer,
    description="The new key; the server keeps its digest only.",
    examples=[
        OpenApiExample(
            "New key",
            value={"success": True, "key": "hsc_" + "A" * 43, "expires_old_at": "2026-12-01T11:26:32Z"},
            response_only=True,
        )
    ],
)
