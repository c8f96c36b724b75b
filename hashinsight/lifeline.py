"""Ends a supervised process group when its supervisor is gone, however that died.

`python -m hashinsight.lifeline PROGRAM [ARGUMENT …]` runs a script (`manage.py`) or a module (`gunicorn`) in this process. The supervisor
alone holds the writing end of a pipe; every process below it, forked ones too, holds the reading end. The kernel closes the writing end
with the supervisor, and whoever notices first kills the whole group. Linux and macOS alike, no polling, nothing to configure.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable

FD_VARIABLE = "HASHINSIGHT_LIFELINE_FD"


def hold(fd: int) -> None:
    """Kill this process group when the other end of `fd` is closed; every process forked from here does the same."""
    when_closed(fd, _end_group)
    os.register_at_fork(after_in_child=lambda: when_closed(fd, _end_group))


def when_closed(fd: int, action: Callable[[], None]) -> None:
    """Call `action` in a thread of its own once nobody holds the writing end of the pipe `fd` any more."""

    def wait() -> None:
        while os.read(fd, 1):
            pass
        action()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _end_group() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    sys.argv = sys.argv[1:]
    if not sys.argv or FD_VARIABLE not in os.environ:
        sys.exit("This module starts what `manage.py up` supervises; it is not meant to be run by hand.")
    if os.getpgrp() != os.getpid():
        sys.exit("A supervised program must lead its own process group.")
    hold(int(os.environ[FD_VARIABLE]))
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
