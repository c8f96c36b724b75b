"""What a collector tells of itself, and how it gets its next key."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from sites.api import ApiError, CollectorView
from sites.authentication import client_address, key_of
from sites.collector_schema import EVENTS, HEARTBEAT, NAME_HEADERS, REPLACED, SOME_KEPT, WELL
from sites.collector_serializers import (
    EventSerializer,
    EventsSerializer,
    HeartbeatSerializer,
    NamesSerializer,
    ReplacementSerializer,
)
from sites.collectors import Event, TooManyCollectors, record_events, record_heartbeat
from sites.keys import NoReplacement, fetch_replacement
from sites.schema import SITE_HEADER, errors

PARAMETERS = [SITE_HEADER, *NAME_HEADERS]


class HeartbeatView(CollectorView):
    rate_scope = "heartbeat"

    @extend_schema(
        summary="Say how the collector is",
        request=HeartbeatSerializer,
        parameters=PARAMETERS,
        examples=[HEARTBEAT],
        responses={200: WELL, **errors(400, 401, 403, 408, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Kept as the collector's present state. The answer has the server's time, to compare clocks, and says whether a new key waits."""
        said = _valid(HeartbeatSerializer, request)
        key, now = key_of(request), timezone.now()
        try:
            record_heartbeat(key, now=now, client_address=client_address(request), **_names(request, said), **said)
        except TooManyCollectors as error:
            raise ApiError(409, str(error))
        return Response({"success": True, "server_time": now.isoformat(), "key_rotation_available": key.replacement_asked_at is not None})


class EventsView(CollectorView):
    rate_scope = "heartbeat"

    @extend_schema(
        summary="Tell what the collector did or lost",
        request=EventsSerializer,
        parameters=PARAMETERS,
        examples=[EVENTS],
        responses={200: SOME_KEPT, **errors(400, 401, 403, 408, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Each event is kept once by its `event_id`. `spool_dropped` becomes a gap in the ledger, within a minute."""
        said = _valid(EventsSerializer, request)
        names = _names(request, said)
        events, refused = _read_events(said["events"])
        try:
            accepted = record_events(key_of(request), events, now=timezone.now(), **names)
        except TooManyCollectors as error:
            raise ApiError(409, str(error))
        return Response({"success": True, "accepted": accepted, "errors": refused})


class KeyReplacementView(CollectorView):
    rate_scope = "heartbeat"

    @extend_schema(
        summary="Fetch a new key",
        request=NamesSerializer,
        parameters=PARAMETERS,
        responses={200: REPLACED, **errors(400, 401, 403, 408, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Only while an administrator has asked for it (`key_rotation_available`). Asked again before its first use, it is another one."""
        names = _names(request, _valid(NamesSerializer, request) if request.META.get("CONTENT_LENGTH") not in ("", "0", None) else {})
        try:
            made = fetch_replacement(key_of(request), fetched_by="/".join(names.values()), now=timezone.now())
        except NoReplacement as error:
            raise ApiError(409, str(error))
        response = Response(ReplacementSerializer({"success": True, "key": made.secret, "expires_old_at": made.old_ends_at}).data)
        response["Cache-Control"] = "no-store"
        return response


def _valid(serializer: type[Any], request: Request) -> dict[str, Any]:
    found = serializer(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def _names(request: Request, said: dict[str, Any]) -> dict[str, str]:
    """Which collector it is, taken out of `said`; the headers say what the body does not."""
    return {
        "device_id": said.pop("device_id", "") or _header(request, "X-Device-ID", 100) or _header(request, "X-Edge-ID", 100),
        "zone_id": said.pop("zone_id", "") or _header(request, "X-Zone-ID", 50),
    }


def _header(request: Request, name: str, length: int) -> str:
    return "".join(letter for letter in request.headers.get(name, "") if letter.isprintable()).strip()[:length]


def _read_events(items: list[Any]) -> tuple[list[Event], list[dict[str, Any]]]:
    """The events that can be kept, and why the others can't."""
    events, refused = [], []
    for index, item in enumerate(items):
        serializer = EventSerializer(data=item)
        if serializer.is_valid():
            events.append(Event(**{name: value for name, value in serializer.validated_data.items() if value is not None}))
        else:
            field, reasons = next(iter(serializer.errors.items()))
            refused.append({"index": index, "reason": f"{field}: {reasons[0] if isinstance(reasons, list) else reasons}"[:300]})
    return events, refused
