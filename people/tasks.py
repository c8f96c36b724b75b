"""Work of the background cluster."""

from __future__ import annotations

from django.utils import timezone

from people.sessions import forget_expired


def forget_sessions() -> str:
    return f"{forget_expired(timezone.now())} expired sessions deleted"
