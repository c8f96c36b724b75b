"""Where a second factor is required, nothing opens without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse

from people import second_factor

Answerer = Callable[[HttpRequest], HttpResponse]


def second_factor_first(get_response: Answerer) -> Answerer:
    """Middleware after django-otp's: leads staff without a device to enrol one, and staff who did not show theirs back to the login.

    Collectors come with a key and no session; nothing is asked of them.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        user: Any = request.user
        if not user.is_authenticated or user.is_verified() or not second_factor.is_required_of(user):
            return get_response(request)
        if request.path_info in _open_paths():
            return get_response(request)
        if request.path_info.startswith("/api/"):
            return JsonResponse({"success": False, "error": "Log in to the console with your second factor first."}, status=403)
        if second_factor.authenticator_of(user) is None:
            return redirect("people:enrol")
        request.session.flush()
        return redirect("admin:login")

    return answer


def _open_paths() -> set[str]:
    return {reverse(name) for name in ("people:enrol", "admin:logout", "admin:login", "people:code", "admin:jsi18n", "set_language")}
