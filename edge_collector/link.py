"""One HTTP connection to the server, kept alive, with a limit on how long a whole exchange may take.

The standard library's client rather than `requests`: the collector then needs no package at all, and what it lacks (a deadline for the
whole exchange, which `requests` lacks as well) is short. A link belongs to one thread.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from edge_collector import __version__
from edge_collector.config import Config

LONGEST_ANSWER: Final = 1_000_000
_CONNECT_SHARE_S: Final = 10.0


class LinkError(Exception):
    """No whole answer came. The message says what happened and what to look at; `kind` is the same in one word."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whoever sent it: a server, a proxy, a captive portal."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Link:
    """Sends requests to the server of `config`; `key` is asked for the key each time, so that a rotated one is used at once."""

    def __init__(self, config: Config, key: Callable[[], str]) -> None:
        self._server = config.server
        self._parts = urlsplit(config.server.url)
        self._proxy = proxy_for(config)
        self._context = tls_context(config) if self._parts.scheme == "https" else None
        self._key = key
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str) -> Reply:
        return self._exchange("GET", path, None, {})

    def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Reply:
        return self._exchange("POST", path, body, headers)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Raises LinkError. Every request may be repeated safely, so one that found its kept connection closed goes out once more."""
        kept = self._connection is not None
        try:
            return self._once(method, path, body, headers)
        except _Closed:
            if not kept:
                raise LinkError("closed", "the server closed the connection without an answer") from None
        try:
            return self._once(method, path, body, headers)
        except _Closed:
            raise LinkError("closed", "the server closed the connection without an answer") from None

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        cut = _Cut(self._server.timeout_s)
        response: http.client.HTTPResponse | None = None
        keep = False
        try:
            with cut:
                connection = self._connected(cut)
                # A server may refuse a body before it is all there: what it said then is still to be read.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, self._target(path), body, {**self._headers(), **headers})
                response = connection.getresponse()
                answer = _read(response)
                keep = response.isclosed() and not response.will_close
        except (http.client.HTTPException, OSError, ValueError, LinkError) as error:
            raise self._explained(error, cut) from error
        finally:
            if not keep:
                if response is not None:
                    response.close()  # it holds the socket, and an error's traceback holds it
                self.close()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, answer)

    def _connected(self, cut: _Cut) -> http.client.HTTPConnection:
        if self._connection is None:
            connection = self._new_connection()
            connection.connect()
            self._connection = connection
        connected: socket.socket = self._connection.sock
        connected.settimeout(self._server.timeout_s)
        cut.watch(connected)
        return self._connection

    def _new_connection(self) -> http.client.HTTPConnection:
        timeout = min(self._server.timeout_s, _CONNECT_SHARE_S)
        near = self._proxy or self._parts
        host, port = near.hostname or "", near.port or (443 if near.scheme == "https" else 80)
        if self._context is None:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)
        if self._proxy:
            connection.set_tunnel(self._parts.hostname or "", self._parts.port or 443, headers=_proxy_headers(self._proxy))
        return connection

    def _target(self, path: str) -> str:
        whole = f"{self._parts.path.rstrip('/')}{path}"
        return f"http://{self._parts.netloc}{whole}" if self._proxy and self._context is None else whole

    def _headers(self) -> dict[str, str]:
        key = self._key()
        headers = {
            "User-Agent": f"edge-collector/{__version__}",
            "Accept": "application/json",
            "X-Collector-Key": key,
            "Authorization": f"Bearer {key}",
            "X-Site-ID": self._server.site_id,
            "X-Device-ID": self._server.device_id,
        }
        if self._server.zone_id:
            headers["X-Zone-ID"] = self._server.zone_id
        return headers | (_proxy_headers(self._proxy) if self._proxy and self._context is None else {})

    def _explained(self, error: Exception, cut: _Cut) -> Exception:
        if cut.fell or isinstance(error, TimeoutError):
            return LinkError("timeout", f"no whole answer from {self._parts.hostname} within {self._server.timeout_s:g} s")
        if isinstance(error, LinkError):
            return error
        if isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
            return _Closed()
        return LinkError(*_in_words(error, self._proxy.hostname if self._proxy else self._parts.hostname))


def _read(response: http.client.HTTPResponse) -> bytes:
    """The whole answer; http.client says nothing of one that is shorter than it was announced."""
    answer = response.read(LONGEST_ANSWER + 1)
    if len(answer) > LONGEST_ANSWER:
        raise LinkError("answer", f"the answer is longer than {LONGEST_ANSWER:,} bytes: this is not HashInsight")
    if response.length:
        raise LinkError("cut", f"the answer ended {response.length:,} bytes too early")
    return answer


class _Closed(Exception):
    """The other side hung up before it answered."""


class _Cut:
    """Cuts the connection when the exchange takes too long: a socket's own timeout starts anew with each byte that drips in."""

    def __init__(self, seconds: float) -> None:
        self.fell = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._fall)
        self._timer.daemon = True

    def watch(self, connected: socket.socket) -> None:
        self._socket = connected
        if self.fell:
            raise TimeoutError

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _fall(self) -> None:
        self.fell = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it was closed at this moment
                # Past ssl's own method, which would drop the session under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def tls_context(config: Config) -> ssl.SSLContext:
    """Verification is always on; `ca_file` adds an authority of one's own."""
    context = ssl.create_default_context()
    if config.server.ca_file:
        context.load_verify_locations(config.path(config.server.ca_file))
    return context


def proxy_for(config: Config) -> SplitResult | None:
    """The proxy in the way to the server, if any: the one set, or what the environment says of this host."""
    wanted, parts = config.server.proxy, urlsplit(config.server.url)
    if wanted == "none":
        return None
    if not wanted and not urllib.request.proxy_bypass(parts.hostname or ""):
        wanted = urllib.request.getproxies().get(parts.scheme, "")
    if not wanted:
        return None
    return urlsplit(wanted if "://" in wanted else f"http://{wanted}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _in_words(error: Exception, host: str | None) -> tuple[str, str]:
    """One word and one sentence for what the system or the other side said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "certificate",
            f"the certificate of {host} is not trusted: {error.verify_message}; is this machine's clock right, is ca_file needed?",
        )
    if isinstance(error, ssl.SSLError):
        return "tls", f"{host} does not speak TLS as it should ({error.reason}); is the port right?"
    if isinstance(error, socket.gaierror):
        return "name", f"the name {host} does not resolve; check the address in the configuration and the name server"
    if isinstance(error, ConnectionRefusedError):
        return "refused", f"{host} refuses the connection; is the server running, is the port right?"
    if isinstance(error, http.client.HTTPException):
        return "answer", f"what answers at {host} does not speak HTTP properly ({type(error).__name__})"
    return "network", f"no connection to {host}: {getattr(error, 'strerror', None) or error}"
