"""Who is calling: a collector by its key, or a member of the staff by the admin's session."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import cast

import structlog
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from sites.models import CollectorKey, Site, SiteQuerySet, digest_of

BAD_KEY = "Missing or invalid collector key."
USE_RESOLUTION = timedelta(minutes=1)

log = structlog.get_logger(__name__)


class CollectorKeyAuthentication(BaseAuthentication):
    """A collector's key in `X-Collector-Key` or `Authorization: Bearer`. `request.auth` becomes the CollectorKey, its site loaded.

    One indexed look-up of the key's digest, whatever was sent: an answer tells nothing of why a key is not accepted.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, CollectorKey] | None:
        secret = presented_key(request)
        if secret is None:
            return None
        now = timezone.now()
        key = CollectorKey.objects.usable(now).select_related("site").filter(digest=digest_of(secret)).first()
        if key is None:
            raise AuthenticationFailed(BAD_KEY)
        _check_site_header(request, key)
        _note_use(key, now)
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class StaffSession(SessionAuthentication):
    """The admin's session. With a name for the scheme, so that a caller without one is told 401 and not 403."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"


class HasCollectorKey(BasePermission):
    message = "Only a collector key may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, CollectorKey)


class IsStaff(BasePermission):
    message = "Only staff may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user.is_active and request.user.is_staff)


class IsStaffOrCollector(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, CollectorKey) or bool(request.user.is_active and request.user.is_staff)


def key_of(request: Request) -> CollectorKey:
    """The key that `HasCollectorKey` let through."""
    return cast(CollectorKey, request.auth)


def person_of(request: Request) -> AbstractBaseUser:
    """The member of the staff that `IsStaff` let through."""
    return cast(AbstractBaseUser, request.user)


def visible_sites(request: Request) -> SiteQuerySet:
    """The sites this caller may read: a key its own, staff the ones given to them."""
    if isinstance(request.auth, CollectorKey):
        return Site.objects.filter(pk=request.auth.site_id)
    return Site.objects.visible_to(request.user)


def presented_key(request: Request) -> str | None:
    """The key as it was sent. Agents send it in both headers; the first one that is not empty counts."""
    if key := request.headers.get("X-Collector-Key", "").strip():
        return key
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def client_address(request: HttpRequest | Request) -> str | None:
    """The client's IP address; None where the server doesn't know it (a Unix socket).

    `TRUSTED_PROXIES` of our own proxies have each appended the address they saw to X-Forwarded-For; what stands further left was
    written by the client and is worth nothing.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        address = forwarded[-min(settings.TRUSTED_PROXIES, len(forwarded))] if forwarded else address
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def network_of(address: str | None) -> str:
    """What one caller can't easily leave: an IPv4 address, or the /64 of an IPv6 one. Failures are counted by it."""
    if address is None:
        return "unknown"
    if ipaddress.ip_address(address).version == 4:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


def _check_site_header(request: Request, key: CollectorKey) -> None:
    claimed = request.headers.get("X-Site-ID", "").strip()
    if claimed and claimed != key.site.code:
        log.warning(
            "collector_site_mismatch", site_id=key.site.code, claimed=claimed[:50], key_prefix=key.prefix, client=client_address(request)
        )
        raise PermissionDenied("X-Site-ID is not the site of this key.")


def _note_use(key: CollectorKey, now: datetime) -> None:
    """Not on each request: a minute is exact enough to tell a key in use from a forgotten one."""
    if key.last_used_at is None or now - key.last_used_at >= USE_RESOLUTION:
        CollectorKey.objects.filter(pk=key.pk).update(last_used_at=now)
