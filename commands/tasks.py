"""What the schedules call: close what nobody answered, judge what went out."""

from __future__ import annotations

from django.utils import timezone

from commands import dispatch, verification


def expire_commands() -> int:
    return dispatch.expire_due(timezone.now())


def verify_commands() -> dict[str, int]:
    return verification.verify_due(timezone.now())
