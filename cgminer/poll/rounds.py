"""Run a round beside the caller, who stores the outcomes as they come."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cgminer.poll.mailbox import Mailbox
from cgminer.poll.policy import Outcome, RoundPolicy, Target
from cgminer.poll.round import Round


def poll_round(targets: Iterable[Target], *, policy: RoundPolicy | None = None) -> Iterator[Outcome]:
    """Read every target once and yield one outcome each, in the order in which they come in.

    Sockets and parsing run in a thread of their own, so the caller may spend its time on a database between two outcomes. The round
    starts with the first `next`; leaving the loop early (or closing the iterator) ends it.
    """
    for batch in poll_in_batches(targets, policy=policy):
        yield from batch


def poll_in_batches(
    targets: Iterable[Target], *, policy: RoundPolicy | None = None, enough: int = 1, within_s: float = 0.0
) -> Iterator[list[Outcome]]:
    """The same in lists: of `enough` outcomes or more, fewer when the first of them has waited `within_s`."""
    with poll_in_thread(targets, policy=policy or RoundPolicy()) as mailbox:
        yield from mailbox.batches(enough=enough, within_s=within_s)


@contextmanager
def poll_in_thread(targets: Iterable[Target], *, policy: RoundPolicy) -> Iterator[Mailbox]:
    """A round in a thread of this process, for as long as the block lasts."""
    mailbox = Mailbox()
    polling = Round(targets, policy=policy, deliver=mailbox.deliver, unread=mailbox.unread)
    thread = threading.Thread(target=mailbox.fill, args=(polling.run,), name="poll round", daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        polling.stop()
        thread.join()
