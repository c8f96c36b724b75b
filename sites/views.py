"""Collector keys over the API, for staff: list, make, rotate, revoke."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from sites.api import ApiError, StaffView
from sites.authentication import person_of, visible_sites
from sites.keys import KeyNotActive, create_key, revoke_key, rotate_key
from sites.models import CollectorKey, CollectorKeyQuerySet
from sites.schema import errors
from sites.serializers import (
    KeyListSerializer,
    KeySerializer,
    NewKeySerializer,
    RevokedSerializer,
    RotationSerializer,
    SecretSerializer,
)


class KeysView(StaffView):
    @extend_schema(summary="List collector keys", responses={200: KeyListSerializer, **errors(401, 403, 429)})
    def get(self, request: Request) -> Response:
        """The keys of the sites this person may see, without their secrets."""
        _require(request, "view")
        keys = KeySerializer(_visible_keys(request), many=True).data
        return Response({"success": True, "count": len(keys), "keys": keys})

    @extend_schema(
        summary="Make a collector key",
        request=NewKeySerializer,
        responses={201: SecretSerializer, **errors(400, 401, 403, 404, 408, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """A new key of one site. Its secret is in this answer and nowhere else."""
        _require(request, "add")
        wanted = _valid(NewKeySerializer(data=request.data))
        site = visible_sites(request).filter(code=wanted["site_id"]).first()
        if site is None:
            raise NotFound(f"There is no site {wanted['site_id']!r} that you may see.")
        made = create_key(site, name=wanted["name"], created_by=person_of(request), expires_at=wanted["expires_at"])
        return _secret_answer(*made)


class KeyView(StaffView):
    @extend_schema(summary="Revoke a collector key", request=None, responses={200: RevokedSerializer, **errors(401, 403, 404, 429)})
    def delete(self, request: Request, key_id: int) -> Response:
        """The key stops working at once. By its id: two keys may begin alike."""
        _require(request, "change")
        key = get_object_or_404(_visible_keys(request), pk=key_id)
        revoked = revoke_key(key)
        key.refresh_from_db()
        return Response({"success": True, "revoked": revoked, "key": KeySerializer(key).data})


class KeyRotationView(StaffView):
    @extend_schema(
        summary="Rotate a collector key",
        request=RotationSerializer,
        responses={201: SecretSerializer, **errors(400, 401, 403, 404, 408, 409, 413, 415, 429)},
    )
    def post(self, request: Request, key_id: int) -> Response:
        """A new key beside the old one, which stops working after the overlap."""
        _require(request, "add")
        _require(request, "change")
        wanted = _valid(RotationSerializer(data=request.data))
        key = get_object_or_404(_visible_keys(request), pk=key_id)
        try:
            made = rotate_key(key, created_by=person_of(request), overlap=timedelta(hours=wanted["overlap_hours"]))
        except KeyNotActive as error:
            raise ApiError(409, str(error))
        return _secret_answer(*made)


def _require(request: Request, action: str) -> None:
    """The permission that the admin asks for the same."""
    if not request.user.has_perm(f"sites.{action}_collectorkey"):
        raise PermissionDenied(f"You may not {action} collector keys.")


def _visible_keys(request: Request) -> CollectorKeyQuerySet:
    return CollectorKey.objects.filter(site__in=visible_sites(request)).select_related("site", "created_by")


def _valid(serializer: Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _secret_answer(key: CollectorKey, secret: str) -> Response:
    response = Response({"success": True, "secret": secret, "key": KeySerializer(key).data}, status=201)
    response["Cache-Control"] = "no-store"
    return response
