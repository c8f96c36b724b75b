"""What drf-spectacular can't see by itself: our authentication, our errors, our twin addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

Endpoint = tuple[str, str, str, Callable[..., Any]]

REASONS = {
    400: "Not readable, or nothing in it is valid",
    401: "Missing, unknown, expired or revoked key: the answer does not say which",
    403: "Known, but not allowed; `X-Site-ID` is not the key's site",
    404: "Not there, or not yours to see",
    408: "The body did not come whole",
    409: "Contradicts what is there",
    413: "Too many records, or too many bytes on the wire or once unpacked",
    415: "A content type, charset or coding this server does not read",
    422: "An encrypted payload",
    429: "Rate limit exceeded: come back after `Retry-After` seconds",
    503: "The database is away: come back after `Retry-After` seconds",
}


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error has these; some have more."""

    success = serializers.BooleanField(default=False)
    error = serializers.CharField()


class RateLimitedSerializer(ErrorSerializer):
    retry_after = serializers.IntegerField()


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """The error answers of an endpoint; the database can be away from all of them."""
    return {status: _error(status) for status in (*statuses, 503)}


def _error(status: int) -> OpenApiResponse:
    limited = status in (429, 503)
    example: dict[str, Any] = {"success": False, "error": "Rate limit exceeded" if status == 429 else REASONS[status] + "."}
    if limited:
        example["retry_after"] = 12
    return OpenApiResponse(
        RateLimitedSerializer if limited else ErrorSerializer,
        description=REASONS[status],
        examples=[OpenApiExample(f"{status}", value=example, response_only=True, status_codes=[str(status)])],
    )


SITE_HEADER = OpenApiParameter(
    "X-Site-ID", str, OpenApiParameter.HEADER, description="The site's code; when sent, it must be the key's site."
)


class CollectorKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the package has no types
    target_class = "sites.authentication.CollectorKeyAuthentication"
    name = ["collectorKey", "collectorBearer"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {"type": "apiKey", "in": "header", "name": "X-Collector-Key", "description": "A key of one site: `hsc_…`."},
            {"type": "http", "scheme": "bearer", "description": "The same key."},
        ]


def collector_api_only(endpoints: list[Endpoint], **kwargs: Any) -> list[Endpoint]:
    """Preprocessing hook: each address once (the one without the slash), and of the schema itself nothing."""
    return [each for each in endpoints if each[0].startswith("/api/") and not each[0].endswith("/")]


class StaffSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the package has no types
    target_class = "sites.authentication.StaffSession"
    name = "staffSession"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": "A person signed in to the admin."}
