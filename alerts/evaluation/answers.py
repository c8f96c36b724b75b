"""What a rule's kind says of what it looked at. Every kind, whatever it asks, gives answers of this shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alerts.evaluation.ground import Ground
    from alerts.models import AlertRule


class Verdict(Enum):
    """Only BAD raises, only GOOD resolves."""

    BAD = "bad"
    BETWEEN = "between"
    """On the good side of the threshold, but not by the clear margin."""
    GOOD = "good"
    STALE = "stale"
    """Nothing recent enough to judge by."""
    UNSEEN = "unseen"
    """Not looked at this time: its kind looks less often than each minute."""


Subject = int | tuple[int | None, str]
"""A miner's primary key; or a site's (None: this server) and the name of what is meant there, "" for the site as a whole."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """`value` and `limit` are in the unit of the rule's threshold; `heard_at` is the time of the reading that was judged."""

    subject: Subject
    verdict: Verdict
    value: float | None = None
    limit: float | None = None
    heard_at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


Kind = Callable[["AlertRule", "Ground"], Iterable[Answer]]
"""Looks for a rule: answers for all that is bad, and for all that has a condition of the rule and is still in its scope."""
