"""What a person wishes, applied to each of their requests: time zone, language, and a theme for the browser to take up."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from preferences.models import Preference

THEME_COOKIE = "hashinsight_theme"
YEAR_S = 365 * 86_400


def preference_of(user: Any) -> Preference:
    """The stored one, or one without wishes."""
    return Preference.objects.filter(user=user.pk).first() or Preference(user=user)


def preferred(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, after authentication. Only pages of the admin show times to people."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/") or not request.user.is_authenticated:
            return get_response(request)
        wish = preference_of(request.user)
        request.own_timezone = wish.timezone  # type: ignore[attr-defined]  # read by `own_zone`
        language = "" if settings.LANGUAGE_COOKIE_NAME in request.COOKIES else wish.language
        if language:
            translation.activate(language)
        with timezone.override(wish.timezone or None):
            response = get_response(request)
        _remember(response, settings.LANGUAGE_COOKIE_NAME, language)
        if request.COOKIES.get(THEME_COOKIE) != wish.theme:
            _remember(response, THEME_COOKIE, wish.theme)
        return response

    return answer


def _remember(response: HttpResponse, name: str, value: str) -> None:
    if value:
        response.set_cookie(name, value, max_age=YEAR_S, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)


def own_zone(request: HttpRequest) -> str:
    """The time zone the person chose; empty when none."""
    return str(getattr(request, "own_timezone", ""))


def in_zone_of(request: HttpRequest, zone: str) -> AbstractContextManager[None]:
    """Show times in the person's own zone, or else in `zone`, the site's."""
    return timezone.override(zoneinfo.ZoneInfo(own_zone(request) or zone))
