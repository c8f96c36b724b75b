"""What one poll round came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class PollReport:
    """What one round came to. `errors` counts by class.

    `skipped` are known-dead miners whose turn comes in a later round; `not_reached` are miners for which the round had no time left.
    """

    site_id: str
    shard: str
    started_at: datetime
    polled: int = 0
    online: int = 0
    offline: int = 0
    skipped: int = 0
    not_reached: int = 0
    stored: int = 0
    answers_stored_ms: float = 0.0
    """Until the last reading of a miner that answered was stored; the rest of the round waits for those that do not."""
    errors: Counter[str] = field(default_factory=Counter)
    duration_ms: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "site_id": self.site_id,
            "shard": self.shard,
            "started_at": self.started_at.isoformat(),
            "polled": self.polled,
            "online": self.online,
            "offline": self.offline,
            "skipped": self.skipped,
            "not_reached": self.not_reached,
            "stored": self.stored,
            "answers_stored_ms": round(self.answers_stored_ms, 1),
            "errors": dict(self.errors),
            "duration_ms": round(self.duration_ms, 1),
        }

    def __str__(self) -> str:
        seconds = self.duration_ms / 1000
        missed = f", {self.not_reached} not reached" if self.not_reached else ""
        return f"{self.polled} polled, {self.online} online, {self.offline} offline, {self.skipped} skipped{missed} in {seconds:.1f} s"
