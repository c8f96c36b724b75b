"""Takes the body of an upload off the HTTP request, within the limits."""

from __future__ import annotations

import io

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.request import Request

from resilience.bodies import BodyTooLarge, UnsupportedBody, as_utf8, read_body
from telemetry.repairs import text

CONTENT_TYPES = frozenset(
    {
        "",
        "application/octet-stream",
        "application/json",
        "application/gzip",
        "application/x-gzip",
        "text/plain",
        "text/json",
        "binary/octet-stream",
    }
)


def read_request(request: Request) -> tuple[bytes | bytearray, int]:
    """The unpacked body in UTF-8 and its size on the wire. Raises BodyRefused."""
    content_type, parameters = parse_header_parameters(request.META.get("CONTENT_TYPE", ""))
    if content_type not in CONTENT_TYPES and not content_type.endswith("+json"):
        raise UnsupportedBody(f"Content-Type {content_type[:60]!r} is not supported: send application/json or application/octet-stream.")
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and int(length) > settings.UPLOAD_MAX_BYTES:
        raise BodyTooLarge(f"The body is larger than {settings.UPLOAD_MAX_BYTES:,} bytes.")
    body, size = read_body(
        request.stream or io.BytesIO(),
        content_encoding=request.headers.get("Content-Encoding", ""),
        max_bytes=settings.UPLOAD_MAX_BYTES,
        max_unpacked_bytes=settings.UPLOAD_MAX_UNPACKED_BYTES,
    )
    return as_utf8(body, parameters.get("charset", "")), size


def header_text(request: Request, name: str, length: int) -> str:
    return (text(request.headers.get(name, "")) or "")[:length]
