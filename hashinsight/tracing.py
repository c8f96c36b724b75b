"""Who asked: the id of a request goes with the tasks it queues, so that one search in the log finds all that followed from a click."""

from __future__ import annotations

from typing import Any

import structlog


def send_along(*, task: dict[str, Any], **_signal: Any) -> None:
    """Receiver of django-q2's `pre_enqueue`."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        task["request_id"] = request_id


def take_up(*, task: dict[str, Any], **_signal: Any) -> None:
    """Receiver of `pre_execute`, in the worker: what this task logs has its name and the request's id, and nothing of the task before."""
    if task.get("sync"):  # at once, within the request itself
        return
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task["name"])
    if "request_id" in task:
        structlog.contextvars.bind_contextvars(request_id=task["request_id"])
