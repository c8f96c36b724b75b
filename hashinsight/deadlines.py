"""No request holds a thread of the web server for ever, whoever does not answer it.

PostgreSQL ends a statement after its own limit, but not while it hangs itself, and nobody ends a request whose client sends a byte now and
then. So a watching thread shuts the socket that such a request waits at: its thread sees an ended connection, answers if anybody is there,
and takes the next request.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
GRACE_S = 5.0
"""A statement gets so much more than PostgreSQL itself gives it: when that is over, PostgreSQL hangs."""
WAITING_FOR_THE_DATABASE = ("/django/db/backends/", "/psycopg2/", "/telemetry/storage/")
CUT_OFF = Counter("requests_cut_off_total", "Requests whose connection was shut because they ran over their time.", ["waited_for"])


@dataclass(slots=True)
class _Request:
    """One request at work, and where its thread was seen last."""

    path: str
    thread: int
    client: socket.socket | None
    database: Any  # a DatabaseWrapper, with what only that of PostgreSQL has
    began: float = field(default_factory=time.monotonic)
    statements: int = 0
    place: tuple[int, int, int] | None = None
    there_since: float = 0.0

    def count_statement(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.statements += 1
        return execute(*arguments)


class _Watch:
    """The requests of this process, and the thread that looks at them."""

    def __init__(self) -> None:
        self.at_work: dict[int, _Request] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self.at_work, self._thread, self._lock = {}, None, threading.Lock()

    def begin(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            if self.at_work:
                self._look()

    def _look(self) -> None:
        frames = sys._current_frames()
        for each in list(self.at_work.values()):
            self._look_at(each, frames.get(each.thread), now=time.monotonic())
        frames.clear()  # it holds this function's own frame too, and so itself and every thread's sockets and cursors

    def _look_at(self, request: _Request, frame: FrameType | None, *, now: float) -> None:
        place = (id(frame), frame.f_lasti if frame else 0, request.statements)
        if place != request.place:
            request.place, request.there_since = place, now
        if now - request.began > settings.REQUEST_TIMEOUT_S:
            _cut_off(request, "anything", seconds=now - request.began)
        elif _waits_for_database(frame) and now - request.there_since > settings.DATABASE_STATEMENT_TIMEOUT + GRACE_S:
            _cut_off(request, "database", seconds=now - request.there_since)


_watch = _Watch()


def deadlines(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware. Around everything that may wait for somebody."""

    def answer(request: HttpRequest) -> HttpResponse:
        _watch.begin()
        database = connections[DEFAULT_DB_ALIAS]
        at_work = _Request(request.path, threading.get_ident(), request.META.get("gunicorn.socket"), database)
        _watch.at_work[at_work.thread] = at_work
        try:
            with database.execute_wrapper(at_work.count_statement):
                return get_response(request)
        finally:
            del _watch.at_work[at_work.thread]

    return answer


def _waits_for_database(frame: FrameType | None) -> bool:
    return frame is not None and any(part in frame.f_code.co_filename for part in WAITING_FOR_THE_DATABASE)


def _cut_off(request: _Request, waited_for: str, *, seconds: float) -> None:
    """A request that ended in this moment loses at worst a connection, which the next one makes again."""
    log.error("request_cut_off", path=request.path, waited_for=waited_for, seconds=round(seconds))
    CUT_OFF.labels(waited_for).inc()
    request.began = request.there_since = time.monotonic()
    raw = request.database.connection
    if raw is not None and hasattr(raw, "fileno"):
        with contextlib.suppress(OSError, request.database.Database.Error), socket.socket(fileno=os.dup(raw.fileno())) as waited_at:
            waited_at.shutdown(socket.SHUT_RDWR)
    if waited_for != "database" and request.client is not None:
        with contextlib.suppress(OSError):
            request.client.shutdown(socket.SHUT_RDWR)
