"""One round of telling people: choose whom, pass on what nobody took, send what is due."""

from __future__ import annotations

from datetime import datetime

from alerts.delivery import deliver
from alerts.escalation import escalate
from alerts.routing import route


def notify(*, now: datetime) -> str:
    """Not inside a transaction. One line about what was done."""
    routed = route(now=now)
    escalated = escalate(now=now)
    return f"{routed} routed, {escalated} escalated, {deliver(now=now)}"
