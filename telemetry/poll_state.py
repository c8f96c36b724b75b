"""What the poller remembers of miners between rounds, written only where it changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from miners.models import Miner
from telemetry.models import MinerPollState, MinerTelemetryLive

log = structlog.get_logger(__name__)

OFFLINE_AFTER = 3
"""Failures in a row after which an event tells of the miner."""

_COLUMNS = ["consecutive_failures", "last_error_type", "last_error_message", "last_success_at", "joined_reads"]


@dataclass(frozen=True, slots=True)
class Memory:
    """The poll state of one miner as the round began; the defaults are those of a miner never polled."""

    failures: int = 0
    error_type: str = ""
    error_message: str = ""
    last_success_at: datetime | None = None
    joined: bool | None = None

    def after_success(self, *, joined: bool | None, at: datetime) -> Memory:
        """Failures are forgotten. The time of a success is kept for miners that had failed; for the others live telemetry has it."""
        if not self.failures and not self.error_type and self.joined == joined:
            return self
        return Memory(last_success_at=at, joined=joined)

    def after_failure(self, *, error_type: str, error_message: str) -> Memory:
        return Memory(self.failures + 1, error_type, error_message, self.last_success_at, self.joined)

    def after_unreadable(self, *, error_type: str, error_message: str) -> Memory:
        """The miner answered, so it is no failure of the connection; what was wrong with the answer is kept for people."""
        return Memory(self.failures, error_type, error_message, self.last_success_at, self.joined)


@dataclass(frozen=True, slots=True)
class Change:
    """One miner whose memory is not what it was."""

    miner_pk: int
    miner_id: str
    before: Memory
    after: Memory

    @property
    def went_offline(self) -> bool:
        return self.before.failures < OFFLINE_AFTER <= self.after.failures


def store_changes(changes: Sequence[Change]) -> None:
    """Write the new memories in one statement; those of miners deleted meanwhile are left out."""
    if not changes:
        return
    present = set(Miner.objects.filter(pk__in=[change.miner_pk for change in changes]).values_list("pk", flat=True))
    rows = [
        MinerPollState(
            miner_id=change.miner_pk,
            consecutive_failures=change.after.failures,
            last_error_type=change.after.error_type,
            last_error_message=change.after.error_message,
            last_success_at=change.after.last_success_at,
            joined_reads=change.after.joined,
        )
        for change in changes
        if change.miner_pk in present
    ]
    MinerPollState.objects.bulk_create(rows, update_conflicts=True, unique_fields=["miner"], update_fields=_COLUMNS, batch_size=2_000)


def tell_of_offline(changes: Iterable[Change], *, site_code: str) -> None:
    """One warning a miner, in the round of its third failure."""
    offline = {change.miner_pk: change for change in changes if change.went_offline}
    if not offline:
        return
    last_seen = dict(MinerTelemetryLive.objects.filter(miner_id__in=offline).values_list("miner_id", "last_online_at"))
    for miner_pk, change in offline.items():
        seen = last_seen.get(miner_pk) or change.after.last_success_at
        log.warning(
            "miner_offline",
            site_id=site_code,
            miner_id=change.miner_id,
            last_seen=seen.isoformat() if seen else None,
            consecutive_failures=change.after.failures,
            error_type=change.after.error_type,
        )
