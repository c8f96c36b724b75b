"""What is shown when a page could not be made: 503 while the database is away, which ends by itself; a fault; a name that is not ours."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.defaults import bad_request as plain_page

RETRY_AFTER_S = 10
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
