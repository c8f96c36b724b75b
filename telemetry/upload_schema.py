"""The upload as OpenAPI describes it, taken from the typed model that reads it."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from sites.schema import SITE_HEADER, errors
from telemetry.records import Record
from telemetry.serializers import UploadAnswerSerializer

REF = "#/components/schemas/{name}"


def record_schema() -> dict[str, Any]:
    """JSON Schema of one record, nested objects written out in place."""
    _, components = msgspec.json.schema_components([Record], ref_template=REF)
    record: dict[str, Any] = _inlined(components["Record"], components)
    record.pop("additionalProperties", None)  # unknown fields are ignored and counted
    record["properties"].pop("worker_id")
    record["properties"]["miner_id"] |= {"minLength": 1, "pattern": r"^[!-~]+$"}
    record["properties"]["miner_id"].pop("default", None)
    record["properties"]["timestamp"] = {"type": "string", "format": "date-time"}
    record["required"] = ["miner_id"]
    record["title"] = "Record"
    record["description"] = "One reading of one miner. Every field but `miner_id` may be left out or null."
    return record


def _inlined(node: Any, components: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(components[node["$ref"].rpartition("/")[2]], components)
    return {name: _inlined(value, components) for name, value in node.items()}


RECORD = record_schema()
RECORDS = {"type": "array", "items": RECORD, "minItems": 1, "maxItems": 5_000}
ENVELOPE = {
    "type": "object",
    "required": ["records"],
    "properties": {
        "schema": {"type": "string", "examples": ["telemetry_envelope.v1"]},
        "site_id": {"type": "string"},
        "zone_id": {"type": "string"},
        "device_id": {"type": "string"},
        "sent_at": {"type": "string", "format": "date-time"},
        "mode": {"type": "string", "enum": ["raw", "latest"]},
        "record_count": {"type": "integer"},
        "source_seq_start": {"type": "integer"},
        "source_seq_end": {"type": "integer"},
        "source_epoch": {"type": "string", "description": "A new one whenever the collector starts its numbers again."},
        "records": {**RECORDS, "description": "Also under the name `miners`."},
    },
}
BODY = {"oneOf": [RECORDS, ENVELOPE]}

EXAMPLE_RECORD = {
    "miner_id": "A-01-07",
    "timestamp": "2026-11-24T06:26:32.746427",
    "online": True,
    "hashrate_ghs": 97_412.5,
    "hashrate_5s_ghs": 98_001.2,
    "temperature_avg": 61.5,
    "temperature_max": 74.0,
    "temperature_chips": [61.0, 74.0, 68.5],
    "fan_speeds": [5880, 6000, 5880, 5880],
    "frequency_avg": 525.0,
    "accepted_shares": 4057,
    "rejected_shares": 11,
    "hardware_errors": 562,
    "uptime_seconds": 50_474,
    "power_consumption": 3250.0,
    "pool_url": "stratum+tcp://pool.example:3333",
    "worker_name": "farm.A0107",
}
UNREACHABLE = {"miner_id": "A-01-08", "online": False, "error_type": "timeout", "error_message": "no answer within 5 s"}
ANSWER = {
    "success": True,
    "status": "ok",
    "received": 2,
    "processed": 1,
    "inserted": 0,
    "updated": 1,
    "duplicates": 0,
    "online": 1,
    "offline": 0,
    "ignored_fields": 0,
    "errors": [{"index": 1, "field": "temperature_avg", "reason": "must be at most 150"}],
    "data": {"processed": 1, "inserted": 0, "updated": 1, "online": 1, "offline": 0, "processing_time_ms": 12.4},
}

describe_upload = extend_schema(
    summary="Upload readings",
    request={"application/json": BODY},
    parameters=[
        SITE_HEADER,
        OpenApiParameter("X-Upload-Mode", str, OpenApiParameter.HEADER, description="`raw` or `latest`; kept in the log."),
        OpenApiParameter("X-Device-ID", str, OpenApiParameter.HEADER, description="The collector's own name; kept in the log."),
        OpenApiParameter("X-Zone-ID", str, OpenApiParameter.HEADER, description="Where newly seen miners are put."),
    ],
    examples=[
        OpenApiExample("Array", value=[EXAMPLE_RECORD, UNREACHABLE], request_only=True),
        OpenApiExample(
            "Envelope",
            value={
                "schema": "telemetry_envelope.v1",
                "site_id": "north",
                "device_id": "edge-7",
                "mode": "raw",
                "records": [EXAMPLE_RECORD],
            },
            request_only=True,
        ),
    ],
    responses={
        200: OpenApiResponse(
            UploadAnswerSerializer,
            description="Stored and committed. Refused records are listed; they need not be sent again.",
            examples=[OpenApiExample("Stored in part", value=ANSWER, response_only=True)],
        ),
        **errors(400, 401, 403, 408, 413, 415, 422, 429),
    },
)
