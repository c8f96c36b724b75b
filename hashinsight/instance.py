"""One running instance a data directory: refuses a second one, and finds what a dead one left behind.

Two locks tell the cases apart, and the kernel lets go of both by itself: `up.lock` is held by the supervisor alone, `children.lock` by
every process it started. So a free first lock with a taken second one means orphans, and the process groups in `up.json` are theirs.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class CannotStart(Exception):
    """The product can't be started here; the message says why and what to do, in one line."""


class AlreadyRunning(CannotStart):
    """Another supervisor runs from the same data directory."""


class Instance:
    """The claim of this process on `directory`, held until it ends. Raises CannotStart when the directory can't be written to."""

    def __init__(self, directory: Path) -> None:
        self._record_path = directory / "up.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._own_fd = os.open(directory / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
            self.children_fd = os.open(directory / "children.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotStart(
                f"{directory} can't be written to ({error.strerror}). Give it to this user, or set HASHINSIGHT_DATA_DIR to another one."
            ) from None

    def claim(self) -> list[int]:
        """Take the directory; the process groups of a dead instance that had to be ended first are returned.

        Raises AlreadyRunning.
        """
        if not _lock(self._own_fd):
            record = self._read()
            raise AlreadyRunning(
                f"HashInsight already runs from {self._record_path.parent.parent} "
                f"(process {record.get('pid', 'unknown')}, {record.get('address', 'address unknown')}). "
                f"Stop it first, or give this one its own HASHINSIGHT_DATA_DIR."
            )
        if _lock(self.children_fd):
            return []
        groups = [int(group) for group in self._read().get("groups", [])]
        for group in groups:
            end_group(group)
        if not _lock(self.children_fd, wait_s=5):
            raise AlreadyRunning(
                f"Processes of an earlier start still hold {self._record_path.parent / 'children.lock'} and could not be ended. "
                f"Find them with `fuser {self._record_path.parent / 'children.lock'}` and end them."
            )
        return groups

    def record(self, *, address: str, groups: Sequence[int]) -> None:
        """Write down who runs here, for the next start and for people."""
        fresh = self._record_path.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": os.getpid(), "address": address, "groups": list(groups)}) + "\n")
        fresh.replace(self._record_path)

    def release(self) -> None:
        self._record_path.unlink(missing_ok=True)
        os.close(self._own_fd)
        os.close(self.children_fd)

    def _read(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._record_path.read_text())
        except (OSError, ValueError):
            return {}
        return record


def _lock(fd: int, *, wait_s: float = 0) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def end_group(group: int, *, wait_s: float = 2) -> None:
    """Kill every process of the process group and wait until none is left, `wait_s` at most."""
    deadline = time.monotonic() + wait_s
    while _kill(group):
        _reap(group)
        if time.monotonic() >= deadline:
            return
        time.sleep(0.02)


def _kill(group: int) -> bool:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def _reap(group: int) -> None:
    """Collect members that were adopted by this process: as PID 1 of a container nobody else does."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
