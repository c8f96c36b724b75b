"""One request on one non-blocking socket."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from cgminer import faults, wire
from cgminer.address import Address, Endpoint
from cgminer.client import Timeouts
from cgminer.errors import MinerError
from cgminer.poll.readiness import Connection, Readiness

_CHUNK = 16_384
_UNDER_WAY = frozenset({0, errno.EINPROGRESS})
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN})


class OutOfSocketsError(Exception):
    """This machine, not the miner, has no socket or port to give just now."""


class Exchange:
    """Connects, sends one request and gathers the reply; `advance` is to be called whenever the socket is ready.

    `deadline` is the monotonic time at which the present stage, connecting or receiving, has taken too long.
    """

    __slots__ = (
        "_address",
        "_buffer",
        "_is_complete",
        "_is_watched",
        "_readiness",
        "_request",
        "_socket",
        "_timeouts",
        "deadline",
        "is_over",
        "is_sent",
        "started",
    )

    def __init__(
        self,
        address: Address,
        request: bytes,
        *,
        where: Endpoint,
        timeouts: Timeouts,
        readiness: Readiness[Any],
        is_complete: Callable[[bytes | bytearray], bool] = wire.is_complete,
    ) -> None:
        """Start connecting; `go_on` is to be called next. Raises OutOfSocketsError, or a MinerError at once."""
        self._address = address
        self._request = request
        self._timeouts = timeouts
        self._readiness = readiness
        self._buffer = bytearray()
        self._is_complete = is_complete
        self.is_sent = False
        self.is_over = False
        self._socket = _connecting(address, where)
        self.started = time.monotonic()
        self.deadline = self.started + timeouts.connect_s
        self._is_watched = False

    @property
    def held(self) -> int:
        """Bytes of an unfinished reply in memory."""
        return len(self._buffer)

    def go_on(self) -> None:
        """Send the request if the connection stands already, which in a farm's network takes less time than connecting to a few others.

        `readiness` reports the exchange from now on. Raises a MinerError.
        """
        self._send()
        watch = self._readiness.watch_for_reply if self.is_sent else self._readiness.watch
        watch(self._socket, self)
        self._is_watched = True

    def advance(self, *, readable: bool) -> bytes | None:
        """The whole reply, or None while there is more to wait for. Raises a MinerError.

        `readable`: the socket has something to read, or its end to tell; some machines speak or close before they are asked.
        """
        if not self.is_sent:
            self._send()
            if not readable or not self.is_sent:
                return None
        return self._receive()

    def out_of_time(self) -> MinerError:
        """What to report once `deadline` has passed."""
        if self.is_sent:
            return faults.no_reply(self._address, self._timeouts.receive_s, received=len(self._buffer))
        return faults.no_connection(self._address, self._timeouts.connect_s)

    def close(self) -> None:
        self.is_over = True
        if self._is_watched:
            self._readiness.forget(self._socket)
        self._socket.close()

    def _send(self) -> None:
        try:
            # A connection that failed reports its reason here; a fresh one has room for any request.
            self._socket.send(self._request)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENOTCONN and not self._is_watched:
                return  # as BSD says that the connection does not stand yet
            raise faults.connection_failed(self._address, error) from error
        self.is_sent = True
        self.deadline = time.monotonic() + self._timeouts.receive_s
        if self._is_watched:
            self._readiness.has_sent(self._socket, self)

    def _receive(self) -> bytes | None:
        """Reads to the end of the reply, or of what has come of it."""
        while True:
            try:
                chunk = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return None
            except OSError:
                chunk = b""  # a reset after the first bytes ends the reply like a close
            if not chunk:
                return self._closed_by_miner()
            if not self._buffer and self._is_complete(chunk):
                return chunk
            self._buffer += chunk
            if len(self._buffer) > wire.MAX_REPLY_BYTES:
                raise faults.reply_too_long(self._address, wire.MAX_REPLY_BYTES)
            if self._is_complete(self._buffer):
                return bytes(self._buffer)

    def _closed_by_miner(self) -> bytes:
        if not self._buffer:
            raise faults.hung_up(self._address)
        return bytes(self._buffer)


def _connecting(address: Address, where: Endpoint) -> Connection:
    family, place = where
    try:
        connection = socket.SocketType(family, socket.SOCK_STREAM)
    except OSError as error:
        raise OutOfSocketsError(str(error)) from error
    connection.setblocking(False)
    code = connection.connect_ex(place)
    if code in _UNDER_WAY:
        return connection
    connection.close()
    if code in _SHORTAGE:
        raise OutOfSocketsError(os.strerror(code))
    raise faults.connection_failed(address, OSError(code, os.strerror(code)))
