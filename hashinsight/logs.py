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
    "django.request": "ERROR",  # every 4xx a second time
    "urllib3": "WARNING",
    "axes": "ERROR",  # people.login and people.lockout say it with fields
}


def drop_health_probes(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The supervisor and load balancers ask every few seconds; a request that went well is no news."""
    if event.get("event") == "request_finished" and str(event.get("request", "")).startswith("GET /health") and event.get("code") == 200:
        raise structlog.DropEvent
    return event


def one_line_for_an_outage(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """While the database is away every page fails alike: its reason says more than the same trace each time."""
    exc_info = event.get("exc_info")
    error = exc_info[1] if isinstance(exc_info, tuple) else None
    if isinstance(error, OperationalError | InterfaceError):
        del event["exc_info"]
        request = getattr(event.get("_record"), "request", None)
        event.update(event="database_unavailable", path=getattr(request, "path", ""), error=str(error).strip().partition("\n")[0])
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
            drop_health_probes,
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
                "foreign_pre_chain": [*shared, structlog.stdlib.add_logger_name, one_line_for_an_outage],
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
        return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback)]
