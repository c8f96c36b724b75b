"""Which of thousands of sockets have something to tell: epoll where there is one, Python's `selectors` elsewhere.

A socket is watched once, from connecting to closing. It is reported when its connection stands or has failed, and later when there is
something to read. epoll reports a change once, so whoever is told reads until there is nothing more; for a reply that is one look at the
system less than asking for one thing after the other, and no object is made for an event.
"""

from __future__ import annotations

import select
import selectors
import socket
from typing import Protocol, TypeAlias, TypeVar

Owner = TypeVar("Owner")
Connection: TypeAlias = socket.SocketType


class Readiness(Protocol[Owner]):
    """Reports the owners of sockets; `None` stands for the bell."""

    def watch_bell(self, bell: socket.socket) -> None:
        """Report None whenever there is something to read on `bell`."""

    def watch(self, connection: Connection, owner: Owner) -> None:
        """From now on, while `connection` is being made and afterwards."""

    def watch_for_reply(self, connection: Connection, owner: Owner) -> None:
        """From now on; the request is out, so only the reply is of interest."""

    def has_sent(self, connection: Connection, owner: Owner) -> None:
        """The request of a watched connection is out."""

    def forget(self, connection: Connection) -> None:
        """To be called before `connection` is closed."""

    def ready(self, seconds: float) -> list[tuple[Owner | None, int]]:
        """Who has something to tell, after at most `seconds` (now and then somebody who has nothing), and not 0 if it can be read."""

    def close(self) -> None: ...


class EpollReadiness(Readiness[Owner]):
    """Linux. Closing a socket takes it out of epoll, so that leaving costs nothing."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._owners: dict[int, Owner | None] = {}

    def watch_bell(self, bell: socket.socket) -> None:
        self._owners[bell.fileno()] = None
        self._epoll.register(bell, select.EPOLLIN)

    def watch(self, connection: Connection, owner: Owner) -> None:
        number = connection.fileno()
        self._owners[number] = owner
        self._epoll.register(number, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def watch_for_reply(self, connection: Connection, owner: Owner) -> None:
        number = connection.fileno()
        self._owners[number] = owner
        self._epoll.register(number, select.EPOLLIN | select.EPOLLET)

    def has_sent(self, connection: Connection, owner: Owner) -> None:
        pass

    def forget(self, connection: Connection) -> None:
        del self._owners[connection.fileno()]

    def ready(self, seconds: float) -> list[tuple[Owner | None, int]]:
        owners = self._owners
        # A process forked at this moment may hold a closed socket open for a while: nobody's any more.
        return [(owners[number], events & ~select.EPOLLOUT) for number, events in self._epoll.poll(seconds) if number in owners]

    def close(self) -> None:
        self._epoll.close()


class SelectorReadiness(Readiness[Owner]):
    """Every other system."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch_bell(self, bell: socket.socket) -> None:
        self._selector.register(bell, selectors.EVENT_READ, None)

    def watch(self, connection: Connection, owner: Owner) -> None:
        self._selector.register(connection.fileno(), selectors.EVENT_WRITE, owner)

    def watch_for_reply(self, connection: Connection, owner: Owner) -> None:
        self._selector.register(connection.fileno(), selectors.EVENT_READ, owner)

    def has_sent(self, connection: Connection, owner: Owner) -> None:
        self._selector.modify(connection.fileno(), selectors.EVENT_READ, owner)

    def forget(self, connection: Connection) -> None:
        self._selector.unregister(connection.fileno())

    def ready(self, seconds: float) -> list[tuple[Owner | None, int]]:
        return [(key.data, events & selectors.EVENT_READ) for key, events in self._selector.select(seconds)]

    def close(self) -> None:
        self._selector.close()


def readiness() -> Readiness[Owner]:
    """The best that this system has."""
    return EpollReadiness() if hasattr(select, "epoll") else SelectorReadiness()
