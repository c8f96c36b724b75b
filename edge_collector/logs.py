"""Log events with fields, on standard error: `uploaded records=1000 bytes=123456`.

The standard library alone, so that the collector installs without anything else.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_FIELDS = "edge_fields"


class EventLog:
    """The events of one module. The name of an event says what happened, its fields with what."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._logger.debug(event, extra={_FIELDS: fields})

    def info(self, event: str, **fields: Any) -> None:
        self._logger.info(event, extra={_FIELDS: fields})

    def warning(self, event: str, **fields: Any) -> None:
        self._logger.warning(event, extra={_FIELDS: fields})

    def error(self, event: str, **fields: Any) -> None:
        self._logger.error(event, extra={_FIELDS: fields})

    def fault(self, event: str, **fields: Any) -> None:
        """A mistake of ours, with its trace."""
        self._logger.exception(event, extra={_FIELDS: fields})


def start(*, level: str, form: str) -> None:
    """Write the events of `level` and above as lines of "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Text(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        words = " ".join(f"{name}={_shown(value)}" for name, value in getattr(record, _FIELDS, {}).items())
        line = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%SZ')} {record.levelname:<7} {record.getMessage()} {words}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        what = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"), "level": record.levelname, "event": record.getMessage()}
        trace = {"trace": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**what, **getattr(record, _FIELDS, {}), **trace}, default=str)


def _shown(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text) if " " in text or '"' in text or not text else text
