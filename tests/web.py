"""The real web server as a child process: gunicorn with the project's WSGI application."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers import START_TIMEOUT_S, Server, ServerFailed, die_with_parent, wait_until

ROOT = Path(__file__).resolve().parent.parent


class WebServer(Server):
    """gunicorn on a loopback port, as `manage.py up` runs it. `environment` is all it knows of the world, the database included."""

    name = "gunicorn"
    death_signal = signal.SIGTERM  # takes its workers along
    arguments: tuple[str, ...] = ()

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        super().__init__(directory)
        self._environment = dict(environment)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gunicorn", "hashinsight.wsgi", "--config", "deploy/gunicorn.conf.py"]
        command += ["--bind", f"127.0.0.1:{self.port}", *self.arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, preexec_fn=die_with_parent(self.death_signal)
        )

    def _answers(self) -> bool:
        """The application is loaded: it answers for an address that nothing serves."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/is-anybody-there")
            status = connection.getresponse().status
        except OSError:
            return False
        finally:
            connection.close()
        if status >= 500:
            raise ServerFailed(f"it answers {status}")
        return True


class WarmWebServer(WebServer):
    """Serves one test after the other: the application is loaded once, and each test gets workers that have seen nothing."""

    arguments = ("--preload",)

    def renew(self) -> None:
        """End the workers at once; new ones take requests by the time this returns."""
        if not self.is_running():
            self.start()
            return
        former = self._workers()
        for worker in former:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not self._workers() & former and self._answers(), timeout_s=START_TIMEOUT_S, what=f"new workers of {self.name}")
        os.truncate(self.log, 0)

    def _workers(self) -> set[int]:
        return {int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()}
