"""What a person wishes, applied to each of their requests: the time zone, and a theme for the browser to take up."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from preferences.models import Display

THEME_COOKIE = "hashinsight_theme"
YEAR_S = 365 * 86_400


def display_of(user: Any) -> Display:
    """The stored one, or one without wishes."""
    return Display.objects.filter(user=user.pk).first() or Display(user=user)


def preferred(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, after authentication. Only pages of the admin show times to people."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/") or not request.user.is_authenticated:
            return get_response(request)
        wish = display_of(request.user)
        request.own_timezone = wish.timezone  # type: ignore[attr-defined]  # read by `own_zone`
        with timezone.override(wish.timezone or None):
            response = get_response(request)
        if wish.theme and request.COOKIES.get(THEME_COOKIE) != wish.theme:
            response.set_cookie(THEME_COOKIE, wish.theme, max_age=YEAR_S, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
        return response

    return answer


def own_zone(request: HttpRequest) -> str:
    """The time zone the person chose; empty when none."""
    return str(getattr(request, "own_timezone", ""))


def in_zone_of(request: HttpRequest, zone: str) -> AbstractContextManager[None]:
    """Show times in the person's own zone, or else in `zone`, the site's."""
    return timezone.override(zoneinfo.ZoneInfo(own_zone(request) or zone))
