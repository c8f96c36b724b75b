"""Sessions: kept in the database, read from the cache, and known by whose they are, so that they can be ended everywhere at once.

The cache holds each under `user_session:{session id}`. Without a shared cache there is none: a process's own memory would not hear that
another process ended a session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.cached_db import SessionStore as CachedDatabaseStore
from django.core.cache import caches
from django.http import HttpRequest
from django.utils import timezone

from people.models import Session
from sites.authentication import client_address

CACHE_PREFIX = "user_session:"
ORIGIN = "origin"
"""Where in a session's data it is kept from where and when the person logged in."""

log = structlog.get_logger(__name__)


class SessionStore(CachedDatabaseStore):
    """The engine that settings name (SESSION_ENGINE is this module)."""

    cache_key_prefix = CACHE_PREFIX

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row: Any = super().create_model_instance(data)
        origin = data.get(ORIGIN, {})
        row.user_id = data.get(SESSION_KEY)
        row.address, row.browser = origin.get("address"), origin.get("browser", "")
        row.started_at = datetime.fromisoformat(origin["at"]) if origin else None
        return row  # type: ignore[no-any-return]


def note_origin(request: HttpRequest) -> None:
    """Remember in the session of `request` where it was begun; to be called when a person has logged in."""
    browser = request.headers.get("User-Agent", "")[:200]
    request.session[ORIGIN] = {"at": timezone.now().isoformat(), "address": client_address(request), "browser": browser}


def end_sessions(user: AbstractBaseUser, *, keep: str | None = None) -> int:
    """Log `user` out everywhere, in the browser of session `keep` not; how many sessions were ended."""
    keys = list(Session.objects.filter(user_id=user.pk).exclude(session_key=keep or "").values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    caches[settings.SESSION_CACHE_ALIAS].delete_many([CACHE_PREFIX + key for key in keys])
    if keys:
        log.info("sessions_ended", user_id=user.pk, sessions=len(keys))
    return len(keys)


def forget_expired(now: datetime) -> int:
    """Delete what nobody can use any more; how many."""
    deleted: int = Session.objects.filter(expire_date__lte=now).delete()[0]
    return deleted
