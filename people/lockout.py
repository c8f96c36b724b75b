"""Five wrong passwords or codes for one name from one address, and that pair waits a quarter of an hour. Counting is django-axes'.

It counts in the database, so that every web process counts alike and nothing depends on Redis.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from sites.authentication import client_address, network_of

log = structlog.get_logger(__name__)


def counted_address(request: HttpRequest) -> str | None:
    """What failures are counted by: the client's address as the rest of the product sees it, of an IPv6 one the /64."""
    address = client_address(request)
    return network_of(address).partition("/")[0] if address else None


def is_locked(request: HttpRequest, username: str) -> bool:
    return not AxesProxyHandler.is_allowed(request, {"username": username})


def count_failure(request: HttpRequest, username: str) -> None:
    """A wrong code counts as a wrong password does; Django reports only the latter."""
    user_login_failed.send(sender=__name__, credentials={"username": username}, request=request)


def locked_page(request: HttpRequest, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """What whoever is locked out sees, with 429: for how long, and who can help."""
    username = (credentials or {}).get("username") or request.POST.get("username", "")
    log.warning("login_locked", username=username[:150], client=client_address(request))
    minutes = settings.AXES_COOLOFF_TIME // timedelta(minutes=1)
    context = {
        **admin.site.each_context(request),
        "title": _("Too many attempts"),
        "minutes": minutes,
        "limit": settings.AXES_FAILURE_LIMIT,
    }
    page = TemplateResponse(request, "people/locked.html", context, status=429, headers={"Retry-After": str(minutes * 60)})
    return page.render()


def axes_lockout(request: HttpRequest, _response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE: called by django-axes' middleware when the attempt just answered was one too many."""
    return locked_page(request, credentials)


def unlock(username: str) -> int:
    """Forget the failures of a name from every address; of how many pairs."""
    deleted: int = AccessAttempt.objects.filter(username=username).delete()[0]
    if deleted:
        log.info("login_unlocked", username=username)
    return deleted
