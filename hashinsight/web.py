"""The web server as a supervised program: its address, its command line and what tells that it answers."""

from __future__ import annotations

import errno
import http.client
import socket

from django.conf import settings

from hashinsight.instance import CannotStart
from hashinsight.supervisor import Program

ANSWER_WITHIN_S = 5.0
BACKLOG = 512
LAST_PORT = 65_535


class AddressUnusable(CannotStart):
    """The web server can't listen there."""


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything starts: a busy port is known first, and stays ours while the web server is started again.

    Raises AddressUnusable.
    """
    if not 0 <= port <= LAST_PORT:  # the resolver would take 70000 for 4464
        raise AddressUnusable(f"There is no port {port}: choose one from 1 to {LAST_PORT} with --port.")
    try:
        family, kind, _protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise AddressUnusable(f"“{host}”, port {port} can't be listened on ({error}). Give --host an address of this machine.") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressUnusable(_why(error, host, port)) from None
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use by another program. Stop that one, or choose another port: --port {port + 1}"
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose one above 1023, e.g. --port 8000, behind a proxy such as nginx."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {host}. Use --host 127.0.0.1 (this machine only) or --host 0.0.0.0 (every network)."
    return f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --host and --port."


def url_of(listener: socket.socket) -> str:
    """Where a browser on this machine reaches `listener`."""
    host, port = _reachable(listener)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def web_program(listener: socket.socket, *, workers: int, environment: dict[str, str]) -> Program:
    configuration = settings.BASE_DIR / "deploy" / "gunicorn.conf.py"
    return Program(
        name="web",
        arguments=(
            "gunicorn",
            "hashinsight.wsgi",
            "--config",
            str(configuration),
            "--workers",
            str(workers),
            "--bind",
            f"fd://{listener.fileno()}",
        ),
        environment=environment,
        inherited_fds=(listener.fileno(),),
        check=lambda _started_at: web_trouble(listener),
        silence_allowance_s=30,
    )


def web_trouble(listener: socket.socket) -> str | None:
    """Why /health does not answer, or None. Any answer below 500 proves that a worker takes requests."""
    host, port = _reachable(listener)
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/health", headers={"Host": _host_header(), "User-Agent": "hashinsight-supervisor"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"/health does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return f"/health answers {status}" if status >= 500 else None


def _reachable(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def _host_header() -> str:
    names = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"]
    return names[0] if names else "localhost"
