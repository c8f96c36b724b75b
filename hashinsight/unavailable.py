"""What a browser is shown when a page could not be made: 503 while the database is away, which ends by itself; else a fault."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

RETRY_AFTER_S = 10
DATABASE_AWAY = (OperationalError, InterfaceError)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500. Asks nothing of the database, and knows of the user no more than their language."""
    away = isinstance(sys.exc_info()[1], DATABASE_AWAY)
    page = render_to_string("console/unavailable.html", {"database_is_away": away, "again_in_s": RETRY_AFTER_S})
    if not away:
        return HttpResponse(page, status=500)
    return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"})
