"""A bad link on loopback: forwards HTTP requests to the server, or does to them what real links do.

One thread a connection. What happens to a request is drawn anew each time, also on a connection that is kept; none of the faults comes
again before all the others had their turn.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter

PORTAL = b"<html><head><title>Welcome</title></head><body>Please accept our terms to use this network.</body></html>"
BROKEN = b'{"success": true, "status": "ok", "rece'
_RESET = struct.pack("ii", 1, 0)

FAULTS = (
    "drop",  # reset before anything is sent on
    "delay",  # late, but whole
    "cut request",  # the server gets half the body, and then a reset
    "cut answer",  # the server has it all, the collector gets half the answer
    "lose answer",  # the server has it all, the collector hears nothing and is reset
    "swallow",  # the server has it all, the collector waits until its patience ends
    "portal",  # 200 and a login page
    "lie",  # 200 and JSON that breaks off
    "short",  # 200, announced longer than it is
    "empty",  # 200 and nothing
    "bad gateway",
    "redirect",
    "noise",  # no HTTP at all
)
NOTHING_ARRIVES = tuple(fault for fault in FAULTS if fault not in ("delay", "cut answer", "lose answer", "swallow"))
"""After none of these has the server stored what was sent."""


class FaultProxy:
    """Listens on loopback inside a `with`. `badness` is the share of requests that something happens to, 0 to 1."""

    def __init__(
        self, server_port: int, *, seed: int, badness: float = 0.6, patience_s: float = 2.0, faults: tuple[str, ...] = FAULTS
    ) -> None:
        self.badness = badness
        self._faults = faults
        self.happened: Counter[str] = Counter()
        self._server_port = server_port
        self._patience_s = patience_s
        self._chance = random.Random(seed)
        self._deck: list[str] = []
        self._drawing = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, name="fault proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError), client.makefile("rb") as reader:
            client.settimeout(30)
            while request := _read_message(reader):
                fault, part = self._drawn()
                if not self._happen(fault, client, request, part=part):
                    return

    def _drawn(self) -> tuple[str, float]:
        """What happens to the next request, and where in it."""
        with self._drawing:
            fault = "pass"
            if self._chance.random() < self.badness:
                self._deck = self._deck or self._chance.sample(self._faults, len(self._faults))
                fault = self._deck.pop()
            self.happened[fault] += 1
            return fault, self._chance.random()

    def _happen(self, fault: str, client: socket.socket, request: bytes, *, part: float) -> bool:
        """Whether the connection lives on."""
        if fault in ("pass", "delay"):
            time.sleep(part if fault == "delay" else 0)
            client.sendall(self._ask(request))
            return True
        if fault == "cut request":
            self._send_part(request, part)
        elif fault in ("cut answer", "lose answer", "swallow"):
            answer = self._ask(request)
            if fault == "cut answer":
                client.sendall(answer[: int(part * len(answer))])
            elif fault == "swallow":
                time.sleep(self._patience_s)
        elif fault != "drop":
            client.sendall(_false_answer(fault, part))
            return fault in ("portal", "bad gateway", "lie")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return False

    def _ask(self, request: bytes) -> bytes:
        """The server's own answer."""
        with socket.create_connection(("127.0.0.1", self._server_port), timeout=30) as server:
            server.sendall(request)
            with server.makefile("rb") as reader:
                return _read_message(reader)

    def _send_part(self, request: bytes, part: float) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self._server_port), timeout=30) as server:
            server.sendall(head + b"\r\n\r\n" + body[: int(part * len(body))])
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _read_message(reader) -> bytes:
    """One request or answer with its body; empty when the other side has closed."""
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line)
    if not lines:
        return b""
    length = next((int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    body = reader.read(length)
    return b"".join(lines) + b"\r\n" + body if len(body) == length else b""


def _false_answer(fault: str, part: float) -> bytes:
    if fault == "noise":
        return random.Random(part).randbytes(200)
    status, body, extra, declared = b"200 OK", PORTAL, b"", None
    if fault == "lie":
        body = BROKEN[: 1 + int(part * len(BROKEN))]
    elif fault == "short":
        body = b'{"success": true, "received": 1}'
        declared = len(body) + 50
    elif fault == "empty":
        body = b""
    elif fault == "bad gateway":
        status, body = b"502 Bad Gateway", b"<html><h1>502 Bad Gateway</h1></html>"
    elif fault == "redirect":
        status, extra = b"302 Found", b"Location: http://portal.example/login\r\n"
    length = b"%d" % (len(body) if declared is None else declared)
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html\r\nContent-Length: " + length + b"\r\n" + extra + b"\r\n" + body
