"""A provider of market data on loopback, whose answers a test chooses by path."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

PRICE, DIFFICULTY, MEMPOOL, COINWARZ = "/simple/price", "/q/getdifficulty", "/api/v1/mining/hashrate/3d", "/coininformation/"


class Exchange:
    """`answers` by path: a body, a status, "hang" or "drip". `asked` holds each request's path with its query and headers."""

    def __init__(self) -> None:
        self.answers: dict[str, str | int] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def asked_for(self, path: str) -> int:
        return sum(asked.partition("?")[0] == path for asked, _headers in self.asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exchange.asked.append((self.path, dict(self.headers)))
                exchange.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Not to standard error."""

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        chosen = self.answers.get(request.path.partition("?")[0], 404)
        if chosen == "hang":
            self.ended.wait(60)
            return
        if chosen == "drip":
            self._drip(request)
            return
        status, body = (chosen, "") if isinstance(chosen, int) else (200, chosen)
        request.send_response(status)
        request.send_header("Content-Length", str(len(body.encode())))
        request.end_headers()
        request.wfile.write(body.encode())

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        """A byte now and then, so that no timeout of the socket ever ends it."""
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        try:
            while not self.ended.is_set():
                request.wfile.write(b" ")
                request.wfile.flush()
                time.sleep(0.2)
        except OSError:
            return
