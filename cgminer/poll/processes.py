"""Share a large round between processes: parsing is most of its work, and one interpreter parses on one core only.

The children are started as programs of their own rather than with `multiprocessing`: forking would copy the caller's database
connections and threads, spawning would import its main module again, and neither is allowed inside a daemon process.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from cgminer.poll.mailbox import Mailbox
from cgminer.poll.policy import Outcome, RoundPolicy, Target

_UNREAD_PAUSE_S = 0.05


class PollingProcessError(Exception):
    """A polling process ended before it had polled all of its miners."""


@contextmanager
def poll_in_processes(targets: Iterable[Target], *, policy: RoundPolicy, processes: int) -> Iterator[Mailbox]:
    """A round whose targets are dealt out to `processes` children, for as long as the block lasts."""
    everyone = list(targets)
    mailbox = Mailbox(writers=processes)
    with ExitStack() as cleanup:
        for share in (everyone[start::processes] for start in range(processes)):
            child = cleanup.enter_context(_Child(share, policy, mailbox))
            threading.Thread(target=mailbox.fill, args=(child.run,), name="read polling process", daemon=True).start()
        yield mailbox


class _Child:
    def __init__(self, share: list[Target], policy: RoundPolicy, mailbox: Mailbox) -> None:
        self._share = share
        self._policy = policy
        self._mailbox = mailbox
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cgminer.poll.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def run(self) -> None:
        """Hand the child its share, and its outcomes to the mailbox; the pipe holds it up when the mailbox is full."""
        orders, results = self._process.stdin, self._process.stdout
        assert orders is not None
        assert results is not None
        with orders, results:
            pickle.dump((self._share, self._policy), orders, pickle.HIGHEST_PROTOCOL)
            orders.close()
            missing = len(self._share)
            while missing:
                outcomes = self._next(results, missing)
                missing -= len(outcomes)
                self._mailbox.deliver(outcomes)
                while self._mailbox.unread() > self._policy.most_unread:
                    time.sleep(_UNREAD_PAUSE_S)

    def _next(self, results: object, missing: int) -> list[Outcome]:
        try:
            outcomes: list[Outcome] = pickle.load(results)  # type: ignore[arg-type]  # a pipe of bytes, known only when it is made
        except (EOFError, pickle.UnpicklingError) as error:
            raise PollingProcessError(f"a polling process ended with {missing} of {len(self._share)} miners not polled") from error
        return outcomes
