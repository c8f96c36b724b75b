"""`manage.py up` as a child process of a test, and the processes it started."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from tests.servers import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0


class Up:
    """One supervisor with a data directory of its own, by which all its descendants are found, orphans too."""

    def __init__(self, environment: Mapping[str, str], data: Path, *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._environment = {**environment, "HASHINSIGHT_DATA_DIR": str(data), "HASHINSIGHT_CLUSTER_WORKERS": "2"}
        self._command = [sys.executable, "manage.py", "up", "--port", str(self.port), *arguments]
        self.supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self.supervisor = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        for process in self.processes():
            process.kill()
        if self.supervisor:
            self.supervisor.wait()
        sys.stdout.write(self.log.read_text())

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

    def is_complete(self) -> bool:
        """Supervisor, gunicorn with two workers, guard with two workers, monitor and pusher: those, and no more."""
        try:
            parts = [
                len(self.leaders("gunicorn")),
                len(self.members("gunicorn")),
                len(self.leaders("qcluster")),
                len(self.members("qcluster")),
            ]
            return parts == [1, 2, 1, 4] and len(self.processes()) == 9
        except psutil.NoSuchProcess:
            return False

    def wait_until_complete(self) -> None:
        wait_until(self.is_complete, timeout_s=START_S, what="all processes of `up`, and only those")

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self.supervisor
        self.supervisor.send_signal(signal.SIGINT)
        return self.supervisor.wait(30)


def _data_directory(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("HASHINSIGHT_DATA_DIR") if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
