"""Where notifications arrive in the tests: a mail server and a web server on loopback, which keep what they were given."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast

from aiosmtpd.controller import Controller

from tests.ports import free_port


@dataclass
class Mail:
    to: str
    subject: str
    text: str


class _Keep:
    """aiosmtpd's handler: one entry a receiver."""

    def __init__(self, mails: list[Mail]) -> None:
        self.mails = mails

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default))
        body = message.get_body(("plain", "html"))
        text = body.get_content() if body else ""
        self.mails += [Mail(to=to, subject=str(message["Subject"]), text=text) for to in envelope.rcpt_tos]
        return "250 Message accepted"


class MailServer:
    """SMTP on loopback. It can be stopped and started again at the same port."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.port = free_port()
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=alerts@farm.example&mode=insecure"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        self._controller = Controller(_Keep(self.mails), hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller:
            self._controller.stop()
            self._controller = None

    def running(self, is_up: bool) -> None:
        """Start or stop it, if it is not so already."""
        if is_up is not bool(self._controller):
            self.start() if is_up else self.stop()

    def to(self, address: str) -> list[Mail]:
        return [mail for mail in self.mails if mail.to == address]


@dataclass
class Hook:
    path: str
    payload: dict[str, Any]

    @property
    def title(self) -> str:
        return str(self.payload["title"])

    @property
    def text(self) -> str:
        return str(self.payload["message"])


@dataclass
class WebhookServer:
    """HTTP on loopback. `status` is what it answers; "hang" answers never, a text is a redirect to there."""

    status: int | str = 200
    hooks: list[Hook] = field(default_factory=list)
    refused: int = 0

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str = "hook", *, host: str = "127.0.0.1") -> str:
        return f"json://{host}:{self.port}/{path}"

    def at(self, path: str) -> list[Hook]:
        return [hook for hook in self.hooks if hook.path == f"/{path}"]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Not to standard error."""

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        payload = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if self.status == "hang":
            self._ended.wait(60)
            return
        if isinstance(self.status, int) and 200 <= self.status < 300:
            self.hooks.append(Hook(request.path, payload))
        else:
            self.refused += 1
        request.send_response(self.status if isinstance(self.status, int) else 307)
        if isinstance(self.status, str):
            request.send_header("Location", self.status)
        request.send_header("Content-Length", "0")
        request.end_headers()
