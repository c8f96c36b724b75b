"""An upload address on a real socket that answers as it is told: as the contract wants it, or as what stands in between does."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PORTAL = b"<html><body>Welcome to Hotel WiFi. Please sign in.</body></html>"


class OddServer:
    """Takes uploads, and commands' answers, heartbeats and events as well. `script` holds what happens to the next uploads, in order;
    when it is empty they are accepted.

    `html`, `html-200`, `502`, `cut` (half an answer), `drop` (hang up unanswered), `drop-after` (store, then hang up), `broken` (200 and
    broken JSON), `not-success`, `miscount`, `slow` (answers after 1.5 s), `drip` (a byte at a time), `redirect`, and statuses as numbers.
    """

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.always = ""
        self.largest = 5_000
        self.uploads: list[dict] = []
        """Envelopes that were accepted."""
        self.attempts: list[tuple[float, str]] = []
        self.posted: list[tuple[str, dict]] = []
        """Other posts, by path."""
        self.keys: list[tuple[str, str]] = []
        self.answers: dict[str, tuple[int, dict]] = {}
        self.headers: list[dict[str, str]] = []
        self.limit_headers: dict[str, str] = {}
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                server.connections += 1

            def do_POST(self):
                server._post(self)

            def do_GET(self):
                server._answer_other(self, {})

            def log_message(self, *arguments):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # a caller that hung up is what some tests are about
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> OddServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def records(self) -> list[dict]:
        return [record for upload in self.uploads for record in upload["records"]]

    @property
    def readings(self) -> list[tuple[str, str]]:
        return [(record["miner_id"], record["timestamp"]) for record in self.records]

    def _post(self, request) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if "/telemetry/" not in request.path:
            self._answer_other(request, json.loads(body))
            return
        what = self.script.popleft() if self.script else self.always or "accept"
        self.attempts.append((time.monotonic(), what))
        self.headers.append(dict(request.headers))
        envelope = json.loads(gzip.decompress(body))
        if what == "accept" and len(envelope["records"]) > self.largest:
            what = "413"
        self._do(request, what, envelope)

    def _do(self, request, what: str, envelope: dict) -> None:
        success = json.dumps({"success": True, "received": len(envelope["records"]), "errors": []}).encode()
        if what in ("accept", "drop-after", "slow", "drip"):
            self.uploads.append(envelope)
        if what in ("drop", "drop-after"):
            _reset(request)
        elif what == "cut":
            _reply(request, 200, success[:10], declared=len(success))
            _reset(request)
        elif what == "slow":
            time.sleep(1.5)
            _reply(request, 200, success)
        elif what == "drip":
            _drip(request, success)
        elif what == "accept":
            _reply(request, 200, success, self.limit_headers)
        elif what == "html-200":
            _reply(request, 200, PORTAL)
        elif what == "html":
            _reply(request, 404, PORTAL)
        elif what == "broken":
            _reply(request, 200, b'{"success": tru')
        elif what == "not-success":
            _reply(request, 200, b'{"success": false, "error": "not today"}')
        elif what == "miscount":
            _reply(request, 200, json.dumps({"success": True, "received": len(envelope["records"]) - 1}).encode())
        elif what == "redirect":
            _reply(request, 302, b"", {"Location": "http://portal.example/login"})
        elif what == "502":
            _reply(request, 502, b"<html>Bad Gateway</html>")
        else:
            extra = {"Retry-After": "1"} if what in ("429", "503") else {}
            _reply(request, int(what), json.dumps({"success": False, "error": f"told to answer {what}"}).encode(), extra)

    def _answer_other(self, request, body: dict) -> None:
        path = urlsplit(request.path).path
        self.keys.append((path, request.headers["X-Collector-Key"]))
        if request.command == "POST":
            self.posted.append((path, body))
        status, document = self.answers.get(path, (404, {"success": False, "error": "not here"}))
        _reply(request, status, json.dumps(document).encode())


def _reply(request, status: int, body: bytes, headers: dict[str, str] | None = None, *, declared: int | None = None) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(declared or len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
    request.wfile.flush()


def _drip(request, body: bytes) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    for byte in body:
        try:
            request.wfile.write(bytes((byte,)))
            request.wfile.flush()
        except OSError:
            break
        time.sleep(0.1)
    request.close_connection = True


def _reset(request) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.close_connection = True
    request.connection.close()
