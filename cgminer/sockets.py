"""What a program with thousands of sockets needs of the system: files to hold them, and a bell to end its wait."""

from __future__ import annotations

import contextlib
import resource
import socket

_FILES_KEPT_FREE = 200
"""Left to the rest of the process: database, logs, web."""


def sockets_allowed(wanted: int) -> int:
    """How many of `wanted` sockets this process may hold, after raising its soft limit of open files as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _FILES_KEPT_FREE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = _raise_file_limit(soft, needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - _FILES_KEPT_FREE))


def _raise_file_limit(soft: int, wanted: int, hard: int) -> int:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


class Wakeup:
    """Ends a wait from another thread, for whoever waits until there is something to read on `bell`."""

    def __init__(self) -> None:
        self.bell, self._outside = socket.socketpair()
        self.bell.setblocking(False)
        self._outside.setblocking(False)

    def ring(self) -> None:
        """From any thread, also after `close`."""
        with contextlib.suppress(OSError):
            self._outside.send(b"!")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.bell.recv(4096)

    def close(self) -> None:
        self.bell.close()
        self._outside.close()
