"""A rule's open alerts while one evaluation changes them, and how the changes are stored: alerts, their miners, and the events others are
told of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from alerts import silences
from alerts.evaluation import statements
from alerts.evaluation.answers import Answer, Subject, Verdict
from alerts.evaluation.ground import SILENT_INTERVALS, Ground
from alerts.evaluation.grouping import Container
from alerts.models import Alert, AlertEvent, AlertMember, AlertRule
from alerts.units import BELOW

REOPENED_WITHIN = timedelta(minutes=60)
"""An incident that comes back so soon is the same one."""
FLAPS = 3
"""Raised so often, each time within the hour after the last one ended, it flaps."""
TOLD_AGAIN_FROM = 0.25
"""A group that grew by this share of the miners last told of is worth another word; one that shrank by half is, too."""
WORSE_BY = 0.1
MANY = 200
ROWS_AT_ONCE = 2_000

Kind = AlertEvent.Kind


@dataclass(slots=True)
class Incident:
    """One alert at work. `members` are the miners it is about after this minute."""

    alert: Alert
    members: set[int] = field(default_factory=set)
    before: frozenset[int] = frozenset()
    events: list[AlertEvent] = field(default_factory=list)
    is_new: bool = False
    is_changed: bool = False

    @property
    def container(self) -> Container:
        return Container(self.alert.site_id or 0, self.alert.scope, self.alert.scope_key)

    @property
    def is_group(self) -> bool:
        return self.alert.scope != Alert.Scope.MINER

    @property
    def is_over(self) -> bool:
        return self.alert.resolved_at is not None


class Incidents:
    """All open alerts of one rule."""

    def __init__(self, rule: AlertRule, ground: Ground) -> None:
        self.rule, self.ground, self.now = rule, ground, ground.now
        self.all: list[Incident] = []
        if rule.pk in ground.alerted:
            self._load()

    def _load(self) -> None:
        rule = self.rule
        alerts = Alert.objects.open().filter(rule=rule).select_for_update(of=("self",)).select_related("miner").order_by("opened_at", "pk")
        members: dict[int, set[int]] = defaultdict(set)
        present = AlertMember.objects.filter(alert__rule=rule, alert__resolved_at=None, left_at=None)
        for alert, miner in present.values_list("alert_id", "miner_id"):
            members[alert].add(miner)
        self.all = [Incident(alert, set(members[alert.pk]), before=frozenset(members[alert.pk])) for alert in alerts]

    def open(self) -> list[Incident]:
        return [incident for incident in self.all if not incident.is_over]

    def members(self) -> set[int]:
        return {miner for incident in self.open() for miner in incident.members}

    def find(self, container: Container) -> Incident | None:
        return next((incident for incident in self.open() if incident.is_group and incident.container == container), None)

    # --- What can happen to them ----------------------------------------------------------------------------------------------------

    def begin(
        self,
        container: Container,
        members: Collection[int],
        *,
        kind: Kind = Kind.OPENED,
        details: Mapping[str, Any] | None = None,
        total: int | None = None,
    ) -> Incident:
        """A new alert about `container`; the one that ended a moment ago comes back instead."""
        incident = self._returning(container) or Incident(self._new_alert(container), is_new=True)
        alert = incident.alert
        incident.members, incident.is_changed = set(members), True
        if total:
            alert.details["total"] = total
        alert.details["told"] = len(members)
        times = alert.details.get("times", 1)
        again = {"again": times} if times > 1 else {}
        self.tell(incident, kind, **again, miners=len(members), **(details or {}))
        if times >= FLAPS and not alert.is_flapping:
            alert.is_flapping = True
            self.tell(incident, Kind.FLAPPING, times=times)
        self.all.append(incident)
        return incident

    def _new_alert(self, container: Container) -> Alert:
        of_miner = container.scope == Alert.Scope.MINER
        return Alert(
            rule=self.rule,
            site_id=container.site or None,
            miner_id=int(container.key) if of_miner else None,
            scope=container.scope,
            scope_key=container.key,
            severity=self.rule.severity,
            opened_at=self.now,
            changed_at=self.now,
            seen_at=self.now,
        )

    def _returning(self, container: Container) -> Incident | None:
        alert = self._ended.pop(container, None)
        if alert is None:
            return None
        alert.state, alert.resolved_at, alert.acknowledged_at, alert.acknowledged_by = Alert.State.OPEN, None, None, None
        alert.details = {**alert.details, "times": alert.details.get("times", 1) + 1}
        return Incident(alert)

    @cached_property
    def _ended(self) -> dict[Container, Alert]:
        """The last alert about each container that ended a moment ago."""
        ended = Alert.objects.filter(rule=self.rule, resolved_at__gte=self.now - REOPENED_WITHIN, resolved_at__lt=self.now)
        locked = ended.select_for_update(of=("self",)).select_related("miner").order_by("resolved_at")
        return {Container(alert.site_id or 0, alert.scope, alert.scope_key): alert for alert in locked}

    def end(self, incident: Incident, *, kind: Kind = Kind.RESOLVED, **details: Any) -> None:
        alert = incident.alert
        incident.members.clear()
        alert.state, alert.resolved_at = Alert.State.RESOLVED, self.now
        alert.details = {name: value for name, value in alert.details.items() if name != "not_heard_since"}
        self.tell(incident, kind, **details)

    def rescope(self, incident: Incident, container: Container, *, kind: Kind, total: int | None) -> None:
        """The alert is about a larger or a smaller container now. One that grew is nobody's any more until it is acknowledged again."""
        alert, came_from = incident.alert, f"{incident.alert.scope} {incident.alert.scope_key}".strip()
        alert.scope, alert.scope_key, alert.miner = container.scope, container.key, None
        alert.details = {**alert.details, "told": len(incident.members), **({"total": total} if total else {})}
        if kind == Kind.GREW and alert.state == Alert.State.ACKNOWLEDGED:
            alert.state, alert.acknowledged_at, alert.acknowledged_by = Alert.State.OPEN, None, None
        self.tell(incident, kind, was=came_from, now=f"{container.scope} {container.key}".strip(), miners=len(incident.members))

    def tell(self, incident: Incident, kind: Kind, **details: Any) -> None:
        incident.is_changed = True
        incident.alert.changed_at = self.now
        incident.events.append(AlertEvent(alert=incident.alert, at=self.now, kind=kind, details=details))

    # --- How the miners are ---------------------------------------------------------------------------------------------------------

    def observe(self, incident: Incident, answers: Iterable[Answer]) -> None:
        """Take over what this minute's answers say of the alert: the worst value, the limit, and whether anything was heard at all."""
        found = list(answers)
        bad = [answer for answer in found if answer.verdict is Verdict.BAD]
        alert, details = incident.alert, dict(incident.alert.details)
        if bad:
            alert.seen_at = self.now
        values = [answer.value for answer in bad if answer.value is not None]
        if values:
            worst = min(values) if self.rule.kind in BELOW else max(values)
            if alert.value is None or incident.is_new or _is_worse(worst, alert.value, below=self.rule.kind in BELOW):
                alert.value, incident.is_changed = worst, True
        if len(found) == 1 and bad:
            details.update(bad[0].facts)
        if limits := {answer.limit for answer in bad if answer.limit is not None}:
            details["threshold"] = min(limits)
        heard = max((answer.heard_at for answer in found if answer.heard_at), default=None)
        silent = bool(found) and all(answer.verdict is Verdict.STALE for answer in found)
        if silent and heard and self._is_long_ago(incident, heard):
            details["not_heard_since"] = heard.isoformat()
        else:
            details.pop("not_heard_since", None)
        if details != alert.details:
            alert.details, incident.is_changed = details, True

    def _is_long_ago(self, incident: Incident, heard: datetime) -> bool:
        """A miner that answers and does not say what is asked of it, for it sleeps or boots, is not silent."""
        site = self.ground.sites.get(incident.alert.site_id or 0)
        return site is None or self.now - heard > timedelta(seconds=SILENT_INTERVALS * site.interval_seconds)

    def told_of_size(self, incident: Incident) -> None:
        """Say that a group grew or shrank, when it did so by enough to matter."""
        told, now = incident.alert.details.get("told", 0), len(incident.members)
        if not incident.is_group or incident.is_new or not told or incident.events:
            return
        if now >= told + max(1, told * TOLD_AGAIN_FROM):
            self.tell(incident, Kind.GREW, miners=now, was=told)
        elif now <= told / 2:
            self.tell(incident, Kind.SHRANK, miners=now, was=told)
        else:
            return
        incident.alert.details = {**incident.alert.details, "told": now}

    # --- Storing it -----------------------------------------------------------------------------------------------------------------

    def save(self, answers: Mapping[Subject, Answer]) -> list[AlertEvent]:
        for incident in self.all:
            alert, count = incident.alert, len(incident.members)
            if alert.member_count != count:
                alert.member_count, incident.is_changed = count, True
                alert.details = {**alert.details, "miners_at_most": max(count, alert.details.get("miners_at_most", 0))}
            if not incident.is_over and (silenced := silences.covers(alert, self.ground.silences)) != alert.is_silenced:
                alert.is_silenced, incident.is_changed = silenced, True
        changed = [incident for incident in self.all if incident.is_changed and not incident.is_new]
        # What is over first: another alert may be about the same container from now on.
        for over in (True, False):
            Alert.objects.bulk_update([item.alert for item in changed if item.is_over == over], _MOVING, batch_size=500)
        Alert.objects.bulk_create([incident.alert for incident in self.all if incident.is_new], batch_size=ROWS_AT_ONCE)
        seen = [item.alert.pk for item in self.all if item.alert.seen_at == self.now and not item.is_new and not item.is_changed]
        for start in range(0, len(seen), ROWS_AT_ONCE):
            Alert.objects.filter(pk__in=seen[start : start + ROWS_AT_ONCE]).update(seen_at=self.now)
        self._save_members(answers)
        events = [event for incident in self.all for event in incident.events]
        for event in events:
            event.alert_id = event.alert.pk
        return AlertEvent.objects.bulk_create(events, batch_size=ROWS_AT_ONCE)

    def _save_members(self, answers: Mapping[Subject, Answer]) -> None:
        few: list[AlertMember] = []
        for incident in self.all:
            left = list(incident.before - incident.members)
            for start in range(0, len(left), ROWS_AT_ONCE):
                gone = AlertMember.objects.filter(alert=incident.alert, left_at=None, miner__in=left[start : start + ROWS_AT_ONCE])
                gone.update(left_at=self.now)
            joined = sorted(incident.members - incident.before)
            values = [_value(answers.get(miner)) for miner in joined]
            if len(joined) >= MANY:
                constants = {"alert_id": incident.alert.pk, "joined_at": self.now}
                statements.insert_for_miners(AlertMember, constants, joined, values)
                continue
            for miner, value in zip(joined, values, strict=True):
                few.append(AlertMember(alert=incident.alert, miner_id=miner, joined_at=self.now, value=value))
        AlertMember.objects.bulk_create(few, batch_size=ROWS_AT_ONCE)


_MOVING = (
    "scope",
    "scope_key",
    "miner",
    "state",
    "value",
    "member_count",
    "details",
    "is_silenced",
    "is_flapping",
    "changed_at",
    "seen_at",
    "acknowledged_at",
    "acknowledged_by",
    "resolved_at",
)


def _is_worse(value: float, known: float, *, below: bool) -> bool:
    """By enough to be worth a write: what only lasts gets worse each minute."""
    return value < known * (1 - WORSE_BY) if below else value > known * (1 + WORSE_BY)


def _value(answer: Answer | None) -> float | None:
    return answer.value if answer else None
