"""What every endpoint of the collector API shares: who may call, how often, and the shape of an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from resilience.bodies import BodyRefused, load_json, read_body
from resilience.ratelimit import Verdict, rate_limiter
from sites.authentication import (
    BAD_KEY,
    CollectorKeyAuthentication,
    HasCollectorKey,
    IsStaff,
    IsStaffOrCollector,
    StaffSession,
    client_address,
    network_of,
)
from sites.metrics import RATE_LIMIT_HITS
from sites.models import CollectorKey

UNAVAILABLE_RETRY_S = 10
REFUSALS = "failed_authentication"
"""The window in which callers who are not let in are counted, by address."""
MAX_BODY_BYTES = 1_000_000
"""Of everything but an upload."""

log = structlog.get_logger(__name__)


class ApiError(exceptions.APIException):
    """An error with its own status and, if need be, more members of the body than `success` and `error`."""

    def __init__(self, status_code: int, message: str, **members: Any) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.members = members


class AlwaysJson(BaseContentNegotiation):
    """Agents send all kinds of Accept headers and read JSON."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        return next(iter(parsers))

    def select_renderer(self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None) -> Any:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class CollectorRequest(Request):
    """Takes a chunked body (no Content-Length) for what it is; DRF takes it for an empty one. gunicorn marks where it ends."""

    def _load_stream(self) -> None:
        super()._load_stream()  # type: ignore[misc]  # DRF's stubs leave it out
        meta = self._request.META
        if not meta.get("CONTENT_LENGTH") and meta.get("wsgi.input_terminated"):
            self._stream = meta["wsgi.input"]


class BoundedJson(BaseParser):
    """A small JSON object, whatever it is labelled as; gzip as well."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        request = (parser_context or {})["request"]
        try:
            encoding = request.headers.get("Content-Encoding", "")
            body, _ = read_body(stream, content_encoding=encoding, max_bytes=MAX_BODY_BYTES, max_unpacked_bytes=MAX_BODY_BYTES)
            document = load_json(body)
        except BodyRefused as refused:
            raise ApiError(refused.status, str(refused))
        if not isinstance(document, dict):
            raise exceptions.ParseError("Expected a JSON object.")
        return document


class AnyTextJson(JSONRenderer):
    """Errors quote what was sent, and that may hold half of a surrogate pair, which UTF-8 has no bytes for: it is answered as "?"."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        try:
            rendered: bytes = super().render(data, accepted_media_type, renderer_context)
        except UnicodeEncodeError:
            rendered = json.dumps(data, cls=self.encoder_class, ensure_ascii=False).encode("utf-8", "replace")
        return rendered


class CollectorView(APIView):
    """Base of the API: rate limited by caller, `X-RateLimit-*` on every answer. Called with a collector key unless it says otherwise."""

    authentication_classes: Sequence[type[BaseAuthentication]] = [CollectorKeyAuthentication]
    permission_classes = [HasCollectorKey]
    content_negotiation_class = AlwaysJson
    parser_classes = [BoundedJson]
    renderer_classes = [AnyTextJson]
    metadata_class = None
    rate_scope = "read"
    """Which window of the caller's a request counts in: a key in `settings.RATE_LIMITS`."""
    unknown_caller = BAD_KEY
    """One text for all of them: an answer tells nothing of why a caller is not accepted."""
    verdict: Verdict | None = None

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        context = self.get_parser_context(request)
        return CollectorRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=context,
        )

    def check_throttles(self, request: Request) -> None:
        if isinstance(request.auth, CollectorKey):
            self._limit(self.rate_scope, request.auth.digest, label=request.auth.prefix)
        else:
            self._limit("staff", f"user-{request.user.pk}", label="staff")

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
            exc = exceptions.AuthenticationFailed(self.unknown_caller)
        if self.verdict is None and isinstance(exc, exceptions.AuthenticationFailed | exceptions.PermissionDenied):
            try:
                self._limit(REFUSALS, network_of(client_address(self.request)), label="unauthenticated")
            except exceptions.Throttled as throttled:
                exc = throttled
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        verdict = self.verdict or rate_limiter().peek(
            REFUSALS, network_of(client_address(request)), per_minute=settings.RATE_LIMITS[REFUSALS]
        )
        response["X-RateLimit-Limit"] = str(verdict.limit)
        response["X-RateLimit-Remaining"] = str(verdict.remaining)
        response["X-RateLimit-Reset"] = str(verdict.reset_s)
        return response

    def _limit(self, scope: str, caller: str, *, label: str) -> None:
        self.verdict = rate_limiter().hit(scope, caller, per_minute=settings.RATE_LIMITS[scope])
        if not self.verdict.allowed:
            RATE_LIMIT_HITS.labels(key_prefix=label).inc()
            raise exceptions.Throttled(wait=self.verdict.reset_s)


class StaffView(CollectorView):
    """Called by staff with the admin's session."""

    unknown_caller = "Sign in to the admin first."
    authentication_classes = [StaffSession]
    permission_classes = [IsStaff]


class SharedView(CollectorView):
    """Called by staff, or by a collector for its own site."""

    unknown_caller = "Missing or invalid collector key, and nobody is signed in."
    authentication_classes = [CollectorKeyAuthentication, StaffSession]
    permission_classes = [IsStaffOrCollector]


class UnknownEndpoint(CollectorView):
    """Whatever else is asked for under /api/."""

    authentication_classes = []
    permission_classes = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound("There is no such endpoint.")


def endpoint(route: str, view: type[APIView], *, name: str) -> list[URLPattern]:
    """`route` with and without a slash at its end: agents write both."""
    handler = view.as_view()
    return [path(route, handler, name=name), path(f"{route}/", handler, name=f"{name}-slash")]


def error_response(exc: Exception, context: dict[str, Any]) -> Response:
    """Every error as JSON with `success: false` and `error`. DRF's EXCEPTION_HANDLER."""
    if isinstance(exc, OperationalError | InterfaceError):
        log.error("database_unavailable", error=str(exc))
        return _failure(503, "The database is not available; try again later.", retry_after=UNAVAILABLE_RETRY_S)
    if isinstance(exc, exceptions.Throttled):
        return _failure(429, "Rate limit exceeded", retry_after=int(getattr(exc, "wait", None) or 1))
    if isinstance(exc, Http404):
        return _failure(404, "Not found.")
    if isinstance(exc, DjangoPermissionDenied):
        return _failure(403, "Permission denied.")
    if isinstance(exc, exceptions.ValidationError):
        return _failure(exc.status_code, _sentence(exc.detail), fields=exc.detail)
    if isinstance(exc, exceptions.APIException):
        response = _failure(exc.status_code, str(exc.detail), **getattr(exc, "members", {}))
        if header := getattr(exc, "auth_header", ""):
            response["WWW-Authenticate"] = header
        return response
    # The middleware that logs requests logs it, with its trace. It asks for the user: DRF's request would look for the key once more.
    got_request_exception.send(sender=None, request=context["request"]._request)
    return _failure(status.HTTP_500_INTERNAL_SERVER_ERROR, "Internal error.")


def _failure(status_code: int, message: str, **members: Any) -> Response:
    response = Response({"success": False, "error": message, **members}, status=status_code)
    if "retry_after" in members:
        response["Retry-After"] = str(members["retry_after"])
    return response


def _sentence(detail: Any) -> str:
    """The first message of a validation error, with the field it is about."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return f"{name}: {_sentence(inner)}"
    return _sentence(detail[0]) if isinstance(detail, list) else str(detail)
