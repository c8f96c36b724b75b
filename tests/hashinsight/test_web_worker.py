"""The web server's worker, with two threads, beside clients who do not go on: everybody else is served at once."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from hashinsight import web_worker
from tests.servers import wait_until

pytestmark = pytest.mark.once
STALLED = 12
AT_ONCE_S = 1.0
LARGE = 20_000_000
"""More than the buffers of a connection hold."""


class Refusing(BaseApplication):
    """Answers 401 and reads no body, but at /read."""

    def load_config(self) -> None:
        self.cfg.set("threads", 2)
        self.cfg.set("keepalive", 5)
        self.cfg.set("loglevel", "critical")

    def load(self) -> Callable[..., list[bytes]]:
        def answer(environ, start_response):
            if environ["PATH_INFO"] == "/large":
                start_response("200 OK", [("Content-Length", str(LARGE))])
                return [b"x" * LARGE]
            if environ["PATH_INFO"] == "/read":
                try:
                    length = len(environ["wsgi.input"].read())
                except OSError:
                    length = -1
                start_response(f"200 {length}", [("Content-Length", "2")])
                return [b"no"]
            start_response("401 Unauthorized", [("Content-Length", "2")])
            return [b"no"]

        return answer


@pytest.fixture
def worker(monkeypatch) -> Iterator[web_worker.Worker]:
    monkeypatch.setattr(web_worker, "HEAD_WITHIN_S", 0.3)
    monkeypatch.setattr(web_worker, "LINGER_S", 0.3)
    monkeypatch.setattr(web_worker, "SILENT_S", 0.3)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    application = Refusing()
    worker = web_worker.Worker(1, os.getppid(), [listener], application, 30, application.cfg, Logger(application.cfg))
    worker.tpool, worker.poller, worker.wsgi = worker.get_thread_pool(), web_worker.selectors.DefaultSelector(), application.load()
    worker.method_queue.init()
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.handle_exit(0, None)
    thread.join(10)
    worker.tmp.close()
    assert not thread.is_alive()


@contextlib.contextmanager
def clients(worker: web_worker.Worker, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have each sent `sent` and then nothing."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(worker.sockets[0].getsockname(), timeout=5)) for _ in range(count)]
        for client in opened:
            client.sendall(sent)
        yield opened


def answer(client: socket.socket, request: bytes, *, answers: int = 1) -> bytes:
    client.sendall(request)
    received = b""
    while received.count(b"\r\n\r\nno") < answers:
        piece = client.recv(4_096)
        if not piece:
            break
        received += piece
    return received


def assert_somebody_else_is_served_at_once(worker: web_worker.Worker) -> None:
    began = time.monotonic()
    with clients(worker, 1, b"") as [client]:
        assert answer(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 401")
    assert time.monotonic() - began < AT_ONCE_S


@pytest.mark.parametrize("sent", [b"", b"POST /api", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["nothing", "half a line", "half a head"])
def test_clients_who_never_finish_their_head_take_no_thread_and_are_left(worker, sent):
    with clients(worker, STALLED, sent) as stalled:
        assert_somebody_else_is_served_at_once(worker)
        for client in stalled:
            assert client.recv(1) == b""


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_clients_who_owe_a_body_are_answered_and_hold_up_nobody(worker, connection):
    head = f"POST / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nContent-Length: 9000000\r\n\r\n[".encode()
    with clients(worker, STALLED, head) as stalled:
        assert_somebody_else_is_served_at_once(worker)
        assert all(answer(client, b"").startswith(b"HTTP/1.1 401") for client in stalled)
        wait_until(lambda: worker.nr_conns == 0, timeout_s=5, what="the end of the connections")


def test_head_that_comes_byte_by_byte_does_not_buy_more_time(worker):
    with clients(worker, 1, b"GET / HTTP/1.1\r\nX: ") as [client]:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 10:
                client.sendall(b"y")
                time.sleep(0.02)
    assert time.monotonic() - began < 5


def test_head_without_an_end_is_turned_away_and_takes_no_thread(worker):
    line = b"X: " + b"y" * 8_000 + b"\r\n"
    with clients(worker, STALLED, b"GET / HTTP/1.1\r\n" + 17 * line) as stalled:
        assert_somebody_else_is_served_at_once(worker)
        assert all(client.recv(64).startswith(b"HTTP/1.1 431") for client in stalled)


def test_clients_who_do_not_take_their_answer_give_the_threads_back(worker):
    with clients(worker, 4, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"), clients(worker, 1, b"") as [client]:
        assert answer(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 401")


def test_next_request_on_a_connection_may_come_in_pieces_and_two_at_once(worker):
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with clients(worker, 1, request[:5]) as [client]:
        assert answer(client, request[5:]).startswith(b"HTTP/1.1 401")
        client.sendall(request[:9])
        assert answer(client, request[9:]).startswith(b"HTTP/1.1 401")
        assert answer(client, request + request, answers=2).count(b"HTTP/1.1 401") == 2


def test_body_that_came_along_is_read_past_and_the_connection_goes_on(worker):
    with clients(worker, 1, b"") as [client]:
        for _ in range(3):
            body = b"x" * 5_000
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
            assert answer(client, head + body).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("framing", ["Content-Length: 9", "Transfer-Encoding: chunked"])
def test_body_that_stalls_gives_its_thread_back_and_one_that_only_takes_long_is_read(worker, framing):
    head = f"POST /read HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode()
    began = b"6\r\n[" if "chunked" in framing else b"["
    rest = b",,,,]\r\n0\r\n\r\n" if "chunked" in framing else b",,,,,,,]"
    with clients(worker, 1, head + began) as [slow], clients(worker, 4, head + began) as stalled:
        for byte in rest[:-1]:
            slow.sendall(bytes([byte]))
            time.sleep(0.1)
        assert answer(slow, rest[-1:]).split(b"\r\n")[0] == (b"HTTP/1.1 200 6" if "chunked" in framing else b"HTTP/1.1 200 9")
        assert all(answer(client, b"").startswith(b"HTTP/1.1 200 -1") for client in stalled)
