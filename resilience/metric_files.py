"""The files in which processes count for /metrics: each process has its own, and those of ended processes are added up into one.

Workers are replaced all day long; without this a scrape would read a file of every worker there ever was.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

ADDED_UP = "ended"
KINDS = ("counter", "histogram", "summary")
TOLERATED = 20
"""Files of ended processes that are left as they are; adding up a few each time would cost more than reading them."""


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Nothing is added up meanwhile: a scrape sees each count once."""
    with _locked(directory, fcntl.LOCK_SH):
        yield


def fold_dead_processes(directory: Path) -> int:
    """Add up what ended processes counted and remove their files; how many were removed."""
    ended = _ended(directory)
    for path in ended:
        if path.name.startswith("gauge_live"):
            path.unlink(missing_ok=True)
    if len(ended) <= TOLERATED:
        return 0
    with _locked(directory, fcntl.LOCK_EX):
        ended = _ended(directory)
        for kind in KINDS:
            if paths := [path for path in ended if path.name.startswith(f"{kind}_")]:
                _add_up(directory, kind, paths)
    return len(ended)


def _add_up(directory: Path, kind: str, paths: list[Path]) -> None:
    total = directory / f"{kind}_{ADDED_UP}.db"
    sums: defaultdict[str, float] = defaultdict(float)
    for path in [*paths, *([total] if total.exists() else [])]:
        for key, value, _timestamp, _position in MmapedDict.read_all_values_from_file(path):
            sums[key] += value
    new = directory / f"{kind}_{ADDED_UP}.new"
    new.unlink(missing_ok=True)  # left over from a process that was killed here
    written = MmapedDict(str(new))
    for key, value in sums.items():
        written.write_value(key, value, 0.0)
    written.close()
    new.replace(total)
    for path in paths:
        path.unlink(missing_ok=True)


def _ended(directory: Path) -> list[Path]:
    """Files of processes that are gone; of gauges only those that do not outlive their process."""
    found = [path for path in directory.glob("*.db") if path.name.startswith((*KINDS, "gauge_live"))]
    return [path for path in found if (pid := path.stem.rpartition("_")[2]).isdecimal() and not _is_running(int(pid))]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    with (directory / "lock").open("a") as file:
        fcntl.flock(file, how)
        yield
