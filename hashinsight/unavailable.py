"""What is shown when a page could not be made: 503 while the database is away, which ends by itself; a fault; a name that is not ours;
what a person may not see or do; an address that leads nowhere; a form that came too late."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.defaults import bad_request as plain_page

RETRY_AFTER_S = 10
LONGEST_PATH = 200
DATABASE_AWAY = (OperationalError, InterfaceError)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500. Asks nothing of the database, and knows of the user no more than their language."""
    away = isinstance(sys.exc_info()[1], DATABASE_AWAY)
    page = render_to_string("console/unavailable.html", {"database_is_away": away, "again_in_s": RETRY_AFTER_S})
    if not away:
        return HttpResponse(page, status=500)
    return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: what middleware refuses. An agent is told in the words of the API."""
    if not request.path.startswith("/api/"):
        return plain_page(request, exception)
    unknown_host = isinstance(exception, DisallowedHost)
    message = "This server does not go by the name in the Host header (its ALLOWED_HOSTS)." if unknown_host else "Bad request."
    return JsonResponse({"success": False, "error": message}, status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _refused(request, "right", status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404. The same for what is not there and for what belongs to somebody else's site."""
    return _refused(request, "address", status=404)


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW; Django has logged the reason."""
    return _refused(request, "form", status=403)


def _refused(request: HttpRequest, missing: str, *, status: int) -> HttpResponse:
    context = {"missing": missing, "path": request.path[:LONGEST_PATH], "user": getattr(request, "user", None)}
    page = render_to_string("console/refused.html", context)
    return HttpResponse(page, status=status, headers={"Cache-Control": "no-store"})
