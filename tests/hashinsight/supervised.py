"""`manage.py up` or `manage.py demo` as a child process of a test, and the processes it started."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from tests.ports import free_port
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_WORKERS = 2
START_S = 60.0


class Supervised:
    """One supervisor with a data directory of its own, by which all its descendants are found, orphans too."""

    def __init__(self, command: str, environment: Mapping[str, str], data: Path, *arguments: str, web_workers: int) -> None:
        self.port = free_port()
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._web_workers = web_workers
        self._environment = {**environment, "HASHINSIGHT_DATA_DIR": str(data), "HASHINSIGHT_CLUSTER_WORKERS": str(CLUSTER_WORKERS)}
        self._command = [sys.executable, "manage.py", command, "--port", str(self.port), *arguments]
        self.supervisor: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.supervisor = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes():
            process.kill()
        if self.supervisor:
            self.supervisor.wait()
        shutil.rmtree(self._counted(), ignore_errors=True)
        sys.stdout.write(self.log.read_text())

    def _counted(self) -> Path:
        """Where its processes counted, in memory; a supervisor that was killed leaves it behind (`hashinsight.up.metrics_directory`)."""
        name = hashlib.sha256(str((self.data / "run").resolve()).encode()).hexdigest()[:16]
        return Path("/dev/shm") / f"hashinsight-{name}"

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything that lives and was started by it or below it."""
        return [process for process in psutil.process_iter() if _data_directory(process) == str(self.data)]

    def leaders(self, word: str) -> list[psutil.Process]:
        """Those whose parent is the supervisor and whose command line has `word`."""
        assert self.supervisor
        return [process for process in self.processes() if process.ppid() == self.supervisor.pid and word in process.cmdline()]

    def members(self, word: str) -> list[psutil.Process]:
        """The processes that the leader forked."""
        return [child for leader in self.leaders(word) for child in leader.children(recursive=True)]

    def is_complete(self, *others: str) -> bool:
        """Supervisor, gunicorn with its workers, guard with workers, monitor and pusher, and one each of `others`: those and no more."""
        try:
            web = (len(self.leaders("gunicorn")), len(self.members("gunicorn")))
            cluster = (len(self.leaders("qcluster")), len(self.members("qcluster")))
            beside = [len(self.leaders(word)) for word in others]
            expected = 1 + 1 + self._web_workers + 1 + CLUSTER_WORKERS + 2 + len(others)
            parts_are_there = web == (1, self._web_workers) and cluster == (1, CLUSTER_WORKERS + 2) and all(n == 1 for n in beside)
            return parts_are_there and len(self.processes()) == expected
        except psutil.NoSuchProcess:
            return False

    def wait_until_complete(self, *others: str) -> None:
        wait_until(lambda: self.is_complete(*others), timeout_s=START_S, what="all processes, and only those")

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self.supervisor
        self.supervisor.send_signal(signal.SIGINT)
        return self.supervisor.wait(30)


def kill(process: psutil.Process) -> None:
    """kill -9, and wait until it is gone."""
    process.kill()
    wait_until(
        lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, timeout_s=5, what="the end of a killed process"
    )


def _data_directory(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("HASHINSIGHT_DATA_DIR") if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
