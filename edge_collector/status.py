"""The status page, its JSON and /metrics, for people and programs of this machine."""

from __future__ import annotations

import html
import json
import threading
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from edge_collector.metrics import rendered, samples
from edge_collector.settings import Status
from edge_collector.wording import lines_of

PORT_FILE: Final = "status.port"
_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.3rem } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #8884; vertical-align: top }
th { font-weight: 500; white-space: nowrap; width: 12rem } .bad { color: #c02b1d } .good { color: #1a7f37 }
@media (prefers-color-scheme: dark) { .bad { color: #ff8a7a } .good { color: #5fd07f } }
"""

State = Mapping[str, Any]


def running_state(folder: Path) -> State | None:
    """What the collector that works on `folder` says of itself; None when none does."""
    try:
        port = int((folder / PORT_FILE).read_text())
        # Past any proxy: this is our own machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/status.json", timeout=5) as answer:
            state = json.load(answer)
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


class StatusPage:
    """Serves on loopback until `close`. `state` is asked with each request."""

    def __init__(self, settings: Status, state: Callable[[], State], *, folder: Path) -> None:
        """Raises OSError when the port is taken."""
        self._http = ThreadingHTTPServer((settings.host, settings.port), _handler(state))
        self._http.daemon_threads = True
        self.port = self._http.server_port
        (folder / PORT_FILE).write_text(str(self.port))
        threading.Thread(target=self._http.serve_forever, args=(0.1,), name="status page", daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(state: Callable[[], State]) -> type[BaseHTTPRequestHandler]:
    pages: Mapping[str, tuple[str, Callable[[State], str]]] = {
        "/": ("text/html; charset=utf-8", _page),
        "/status.json": ("application/json", lambda what: json.dumps(what)),
        "/metrics": ("text/plain; version=0.0.4; charset=utf-8", lambda what: rendered(samples(what))),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in ("127.0.0.1", "localhost", "[::1]"):
                # A page of the internet can make its name point here; a browser then still says that name.
                self._say(403, "text/plain", "This page is for this machine.")
            elif self.path in pages:
                kind, render = pages[self.path]
                self._say(200, kind, render(state()))
            else:
                self._say(404, "text/plain", "There are /, /status.json and /metrics.")

        def _say(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """A scrape each 15 s is no event."""

    return Handler


def _page(state: State) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td class="{tone}">{html.escape(text)}</td></tr>'
        for name, text, tone in lines_of(state)
    )
    title = html.escape(f"{state['device_id']}, collector of {state['site_id']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="refresh" content="10"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><table>{rows}</table></body></html>"
    )
