"""Who is polled, how patiently, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cgminer.address import Address
from cgminer.client import RetryPolicy, Timeouts
from cgminer.errors import MinerError
from cgminer.snapshot import Snapshot

MOST_RAW_BYTES = 64 * 1024
"""Of one miner, far above what a reading takes: a machine that is no miner may send a megabyte."""


@dataclass(frozen=True, slots=True)
class Target:
    """One miner to read. `joined` and `failures` are what the caller remembers of earlier rounds."""

    key: int | str
    """The caller's own name for the miner; comes back untouched in the outcome."""
    address: Address
    joined: bool | None = None
    """Whether its firmware answers joined commands; None when it was never asked."""
    failures: int = 0
    """Rounds it failed in a row."""
    keep_raw: bool = False
    """Whether the outcome is to carry the replies as received; replies that cannot be read are carried anyway."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one miner's turn in the round came to: a snapshot or an error, never both."""

    target: Target
    snapshot: Snapshot | None = None
    error: MinerError | None = None
    latency_ms: float | None = None
    """From connect to the last byte of the first reply; None when there was none."""
    attempts: int
    joined: bool | None = None
    """What to remember for the next round's `Target.joined`."""
    found_at: Address | None = None
    """Where it answered, when that is another port than the target's: its firmware speaks another protocol than it did."""
    cut_off: bool = False
    """The round's deadline came before the miner had its time: the error says nothing about the miner."""
    finished_at: datetime
    raw: Mapping[str, bytes] | None = None
    """Replies as received, by the command as it was sent, cut after `MOST_RAW_BYTES` together; None where nobody wants them."""

    @property
    def address(self) -> Address:
        """Where it answered, or should have."""
        return self.found_at or self.target.address


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPolicy:
    """How long a round waits for whom. Seconds throughout.

    A silent miner keeps its socket up to `timeouts.receive_s`, so slow ones are not lost; but when others wait for a free
    socket it gives its own up after `quick_s` and gets its full time once everyone had a turn. One that accepted and has said
    nothing by `again_after_s` is asked again, while the first request still waits for its answer, so that a slow miner is read
    and a silent one is known to be silent in little more than the time of one attempt. Retries have the shorter
    `retry_timeouts`, and a miner known to be dead is asked only once.
    """

    quick_s: float = 0.5
    again_after_s: float = 2.0
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(connect_s=2.0, send_s=1.0, receive_s=4.5))
    retry_timeouts: Timeouts = field(default_factory=lambda: Timeouts(connect_s=1.0, send_s=1.0, receive_s=0.5))
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    resolve_s: float = 5.0
    deadline_s: float = 50.0
    """The round ends then; whoever has not answered is reported as timed out."""

    dead_after: int = 3
    """Failed rounds in a row after which a miner counts as known dead."""
    patient_every: int = 4
    """A known-dead miner's single attempt is a patient one each so many failures: it may have come back slow."""

    most_in_flight: int | None = None
    """Open sockets at most; None takes what the system allows."""
    starts_per_turn: int = 64
    """Connections opened between two looks at the open ones, so that a large round neither floods a switch nor delays replies."""
    most_young: int = 1_000
    """Miners asked less than `quick_s` ago that have not answered: a farm's network and this machine take no more at once, and what
    they cannot take would be sent again. Silent ones do not count after that, so an outage slows the round hardly."""
    most_unread: int = 20_000
    """Outcomes the caller has not taken yet, at which no new miner is started: a slow database slows the round, not fills memory."""
    most_buffered_bytes: int = 256 * 1024 * 1024
    """Unfinished replies of all miners together."""

    def is_known_dead(self, target: Target) -> bool:
        return target.failures >= self.dead_after

    def attempts_for(self, target: Target) -> int:
        return 1 if self.is_known_dead(target) else self.retries.attempts

    def first_timeouts(self, target: Target) -> Timeouts:
        patient = not self.is_known_dead(target) or target.failures % self.patient_every == 0
        return self.timeouts if patient else self.retry_timeouts


def due_this_round(failures: int, round_number: int, *, dead_after: int = 3, rounds_apart: int = 4) -> bool:
    """Whether to poll a miner in round `round_number` (any counter that grows by one).

    A miner that failed fewer than `dead_after` rounds in a row is polled in each; after that every second round, and after
    twice as many failures every `rounds_apart`. One success makes it an ordinary miner again.
    """
    if failures < dead_after:
        return True
    pause = 2 if failures < 2 * dead_after else rounds_apart
    return round_number % pause == 0
