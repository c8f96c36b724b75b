"""gunicorn's worker with threads, in which nobody waits for a client who does not go on.

Of its own accord gunicorn gives a thread to a connection that has not sent the head of a request yet, for as long as that takes, and closes
connections one after the other, with up to two seconds for each whose client still owes it a body. A handful of strangers without a key
could stop the server. Here both are waited for in the poller, beside everything else. A body has a thread, but may not stall.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD_WITHIN_S = 10.0
LONGEST_HEAD = 131_072
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
SILENT_S = 30.0
"""A client in the middle of its body may send nothing, and one in the middle of its answer take nothing, for so long: beyond that its line
is cut, and it will try again on another."""
LINGER_S = 2.0
"""A client that has its answer may go on sending for so long; a connection closed before would cost it the answer (RFC 9112, 9.6)."""
DRAIN_WITHIN_S = 0.1
"""What is left of a body that nobody read has come by then, or the connection ends: the thread has others to serve."""
CHUNK_BYTES = 8_192
DRAIN_BYTES = 65_536


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A thread is for a request whose head is there; what has been answered ends without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaving: deque[TConn] = deque()
        """Connections that were answered and whose client has not closed its side."""

    def enqueue_req(self, conn: TConn) -> None:
        # Not `settimeout`, which limits the whole of an answer to slow readers.
        silence = struct.pack("ll", *divmod(round(SILENT_S * 1e6), 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, silence)
        if self.cfg.is_ssl or self._head_is_there(conn):
            super().enqueue_req(conn)
            return
        if self._head_is_endless(conn):
            self._turn_away(conn)
            return
        conn.timeout = time.monotonic() + HEAD_WITHIN_S
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        if self.cfg.is_ssl:
            super().on_pending_socket_readable(conn, client)
            return
        is_there = self._head_is_there(conn)
        if is_there or self._head_is_endless(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            super().enqueue_req(conn) if is_there else self._turn_away(conn)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Called in the thread, after the answer."""
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_WITHIN_S))

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._say_goodbye(conn)

    def murder_pending(self) -> None:
        """Called once a second: end what had its time."""
        super().murder_pending()
        now = time.monotonic()
        while self.leaving and self.leaving[0].timeout <= now:
            self._end(self.leaving.popleft())

    def _cap_keepalive(self, deadline: float) -> None:
        """A worker that stops waits for half a head no longer than for the next request."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _head_is_there(self, conn: TConn) -> bool:
        """Take what the client has sent so far; also True when it has gone: a thread sees to that."""
        try:
            conn.init()
            conn.sock.setblocking(False)
            sent = conn.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            sent = b""
        except OSError:
            return True
        else:
            if not sent:
                return True
        buffer = conn.parser.unreader.buf
        buffer.seek(0, 2)
        buffer.write(sent)
        head = buffer.getvalue()
        return b"\r\n\r\n" in head or b"\n\n" in head

    def _head_is_endless(self, conn: TConn) -> bool:
        return bool(conn.parser.unreader.buf.tell() > LONGEST_HEAD)

    def _turn_away(self, conn: TConn) -> None:
        with contextlib.suppress(OSError):
            conn.sock.send(TOO_LONG)
        self._say_goodbye(conn)

    def _say_goodbye(self, conn: TConn) -> None:
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_leaving_readable, conn))
        except (OSError, ValueError, KeyError):  # the client is gone, or a thread has closed it
            self._end(conn)
            return
        conn.timeout = time.monotonic() + LINGER_S
        self.leaving.append(conn)

    def _on_leaving_readable(self, conn: TConn, client: socket.socket) -> None:
        try:
            sent = client.recv(DRAIN_BYTES)
        except BlockingIOError:
            return
        except OSError:
            sent = b""
        if not sent:
            self.leaving.remove(conn)
            self._end(conn)

    def _end(self, conn: TConn) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError):  # it was not waited for
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()
