"""One shape for every log line, ours and the packages': readable columns for people, JSON for machines, to standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from django.db.utils import InterfaceError, OperationalError
from structlog.typing import EventDict, WrappedLogger

QUIET = {
    "django-q": "WARNING",  # a line for each task that starts and ends; the jobs write their own
    "gunicorn.error": "WARNING",
    "gunicorn.access": "WARNING",
    "django.request": "CRITICAL",  # every refusal and every fault a second time
    "urllib3": "WARNING",
    "axes": "ERROR",  # people.login and people.lockout say it with fields
}

ROUTINE = ("GET /health", "HEAD /health", "POST /api/collector/upload", "POST /api/edge/v1/telemetry/")


def drop_routine(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out the requests that went well and are no news: probes, and uploads, of which `telemetry_upload` tells more."""
    if event.get("event") == "request_finished" and event.get("code") == 200 and str(event.get("request", "")).startswith(ROUTINE):
        raise structlog.DropEvent
    return event


def one_line_for_an_outage(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """While the database is away every page fails alike: its reason says more than the same trace each time."""
    error = sys.exc_info()[1] if event.get("event") == "request_failed" else None
    if isinstance(error, OperationalError | InterfaceError):
        event.pop("exc_info", None)
        event.update(event="database_unavailable", code=503, error=str(error).strip().partition("\n")[0])
    return event


def one_line_for_a_refusal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Django logs what it refuses, a wrong Host say, with the trace of its own code: strangers would fill the log with it."""
    if event["_record"].name.startswith("django.security."):
        event.pop("exc_info", None)
    return event


def configure(*, form: str, level: str) -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING. `form` is "console" or "json"."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%Y-%m-%d %H:%M:%S", utc=form == "json"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            drop_routine,
            one_line_for_an_outage,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "events": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*shared, structlog.stdlib.add_logger_name, one_line_for_a_refusal],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "events"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"level": max(quiet, level, key=logging.getLevelName)} for name, quiet in QUIET.items()},
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        },
    }


def _rendering(form: str) -> list[structlog.typing.Processor]:
    if form == "json":
        # Without local variables: they hold keys and passwords.
        traces = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
        return [traces, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback)]
