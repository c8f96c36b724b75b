"""Servers that a miner's address may turn out to be: broken, hostile, or not a miner at all."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from cgminer.address import Address
from cgminer.simulator import MinerSpec
from cgminer.simulator.miner import SimulatedMiner

Behaviour = Callable[[socket.socket, threading.Event], None]

GOOD_REPLY = (
    b'{"STATUS":[{"STATUS":"S","When":1,"Code":11,"Msg":"Summary"}],"SUMMARY":[{"Elapsed":60,"GHS 5s":100.0,"GHS av":99.0}],"id":1}'
)
_ANTMINER = SimulatedMiner(MinerSpec(miner_id="m1", host="127.0.0.1"), now=1_790_000_000)
JOINED_REPLY = (_ANTMINER.read("summary+stats+pools+version", 1_790_000_000) or "").encode()
"""All that a reading of this firmware takes, in one request."""


class StrangeServer:
    """Listens, on a free port of 127.0.0.1 unless told where, and does the same to everyone who connects, each in a thread of its own."""

    def __init__(self, behaviour: Behaviour, *, reads_request: bool = True, where: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.requests: list[bytes] = []
        self._behaviour = behaviour
        self._reads_request = reads_request
        self._ends = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(where, backlog=200)
        self.address = Address(*self._listener.getsockname())

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._reads_request:
                self.requests.append(connection.recv(4095))
            self._behaviour(connection, self._ends)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


def answers(reply: bytes) -> Behaviour:
    """Sends `reply` and closes."""
    return lambda connection, _: connection.sendall(reply)


def answers_in_turn(*replies: bytes) -> Behaviour:
    """The next reply to each next connection; the last one again and again."""
    remaining = list(replies)

    def serve(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(remaining.pop(0) if len(remaining) > 1 else remaining[0])

    return serve


def answers_and_stays(reply: bytes) -> Behaviour:
    """Sends `reply` and keeps the connection open."""

    def serve(connection: socket.socket, ends: threading.Event) -> None:
        connection.sendall(reply)
        ends.wait()

    return serve


def answers_late(reply: bytes, seconds: float) -> Behaviour:
    def serve(connection: socket.socket, ends: threading.Event) -> None:
        if not ends.wait(seconds):
            connection.sendall(reply)

    return serve


def stays_silent(connection: socket.socket, ends: threading.Event) -> None:
    ends.wait()


def hangs_up(connection: socket.socket, ends: threading.Event) -> None:
    """Closes at once."""


def resets(connection: socket.socket, ends: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drips(reply: bytes, every_s: float) -> Behaviour:
    """One byte at a time, and never to the end in any reasonable time."""

    def serve(connection: socket.socket, ends: threading.Event) -> None:
        for byte in reply:
            connection.sendall(bytes([byte]))
            if ends.wait(every_s):
                return

    return serve


def never_ends(connection: socket.socket, ends: threading.Event) -> None:
    connection.sendall(b'{"STATS":"')
    while not ends.is_set():
        connection.sendall(b"x" * 65_536)


@contextlib.contextmanager
def port_without_listener() -> Iterator[Address]:
    """An address that refuses connections while the block runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield Address(*holder.getsockname())


def wait_until(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
