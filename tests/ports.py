"""TCP ports for tests that must know a port before something listens on it.

Not from the range that the system takes the local ports of connections from (32,768 and up on Linux): between the choice and the listening
some other connection would take it now and then. Each pytest-xdist worker has a range of its own.
"""

from __future__ import annotations

import itertools
import os
import random
import socket

_FIRST, _EACH, _WORKERS = 12_000, 2_500, 8


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _mine() -> range:
    first = _FIRST + WORKER % _WORKERS * _EACH
    return range(first, first + _EACH)


# Begins anywhere, for a second run of the tests beside this one.
_next = itertools.islice(itertools.cycle(_mine()), random.randrange(_EACH), None)


def free_port() -> int:
    """A port that nobody has on any address at this moment, and that this process is not given again soon."""
    for _ in range(_EACH):
        port = next(_next)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port is left for tests")
