"""Alerts about a site or this server as such: one for each condition, nothing to group."""

from __future__ import annotations

from alerts.evaluation.ground import Ground
from alerts.evaluation.grouping import Container
from alerts.evaluation.holding import Held
from alerts.evaluation.incidents import Incidents
from alerts.models import Alert, AlertEvent, AlertRule


def settle(rule: AlertRule, held: Held, ground: Ground) -> list[AlertEvent]:
    """Bring the rule's alerts in line with its conditions; returns what happened. Inside a transaction."""
    incidents = Incidents(rule, ground)
    raised = {_container(subject): answer for subject, answer in held.raised.items() if not isinstance(subject, int)}
    for incident in incidents.open():
        if incident.container not in raised:
            incidents.end(incident)
    for container, answer in raised.items():
        incident = next((item for item in incidents.open() if item.container == container), None) or incidents.begin(container, ())
        incidents.observe(incident, [answer])
    return incidents.save({})


def _container(subject: tuple[int | None, str]) -> Container:
    site, key = subject
    return Container(site or 0, Alert.Scope.SITE if site else Alert.Scope.SYSTEM, key)
