"""One evaluation of all rules."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog
from django.db import transaction

from alerts import actions
from alerts.evaluation import blast, counters, subjects
from alerts.evaluation.ground import Ground, survey
from alerts.evaluation.holding import hold
from alerts.evaluation.kinds import KINDS, OF_MINERS, ORDER
from alerts.models import Alert, AlertEvent, AlertMember, AlertRule, Condition, RuleKind, Severity

log = structlog.get_logger(__name__)

SHARPEST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


@dataclass(slots=True)
class EvaluationReport:
    """What one evaluation changed. `milliseconds` by rule; `failed` rules with the reason, tried again the next minute."""

    rules: int = 0
    opened: int = 0
    resolved: int = 0
    events: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.rules} rules, {self.opened} alerts opened, {self.resolved} resolved, {self.events} events"
        return text + "".join(f"; {rule} failed: {reason}" for rule, reason in self.failed.items())


def evaluate(now: datetime) -> EvaluationReport:
    """Look for every enabled rule at the farm as it is at `now`. Doing it twice for the same moment changes nothing the second time."""
    report, ground = EvaluationReport(), survey(now)
    _step(report, "restarts", partial(_note_restarts, ground))
    for rule in _rules():
        _step(report, rule.slug, partial(_evaluate_rule, rule, ground, report))
    _step(report, "shares", partial(counters.renew_shares, ground))
    _step(report, "rules that are off", partial(_close_disabled, now, report))
    log.info(
        "alerts_evaluated",
        rules=report.rules,
        opened=report.opened,
        resolved=report.resolved,
        failed=sorted(report.failed),
        duration_ms=round(sum(report.milliseconds.values())),
    )
    return report


def _rules() -> list[AlertRule]:
    """In the order of their kinds; of one kind the sharper ones first, whose alerts then speak for the milder ones too."""
    rules = AlertRule.objects.filter(is_enabled=True).prefetch_related("sites", "miner_models", "tags")
    return sorted(rules, key=lambda rule: (ORDER.index(RuleKind(rule.kind)), SHARPEST_FIRST.index(Severity(rule.severity)), rule.pk))


def _step(report: EvaluationReport, name: str, work: Callable[[], object]) -> None:
    """One transaction."""
    started = time.perf_counter()
    try:
        with transaction.atomic():
            work()
    except Exception as error:  # whatever is wrong with one rule, the others must be looked at all the same; the job says what failed
        report.failed[name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        log.exception("alert_rule_failed", rule=name)
    report.milliseconds[name] = (time.perf_counter() - started) * 1000


def _evaluate_rule(rule: AlertRule, ground: Ground, report: EvaluationReport) -> None:
    is_of_miners = rule.kind in OF_MINERS
    flapping = _flapping(rule) if rule.pk in ground.alerted else ()
    held = hold(rule, KINDS[rule.kind](rule, ground), ground, flapping=flapping)
    events = (blast if is_of_miners else subjects).settle(rule, held, ground)
    if is_of_miners and rule.action and rule.action_mode != AlertRule.ActionMode.OFF:
        events = [*events, *actions.act(rule, held, ground)]
    report.rules += 1
    report.opened += sum(event.kind in (AlertEvent.Kind.OPENED, AlertEvent.Kind.SPLIT) for event in events)
    report.resolved += sum(event.kind in (AlertEvent.Kind.RESOLVED, AlertEvent.Kind.MERGED) for event in events)
    report.events += len(events)


def _flapping(rule: AlertRule) -> set[int | tuple[int | None, str]]:
    """Subjects of alerts that flap; they must be good for longer."""
    found: set[int | tuple[int | None, str]] = set()
    alerts = Alert.objects.open().filter(rule=rule, is_flapping=True)
    found.update(AlertMember.objects.filter(alert__in=alerts, left_at=None).values_list("miner_id", flat=True))
    found.update(alerts.filter(scope__in=[Alert.Scope.SITE, Alert.Scope.SYSTEM]).values_list("site_id", "scope_key"))
    return found


def _note_restarts(ground: Ground) -> None:
    counters.note_restarts(ground)
    counters.forget_restarts(ground)


def _close_disabled(now: datetime, report: EvaluationReport) -> None:
    """A rule that was switched off has nothing to say any more."""
    for alert in Alert.objects.open().filter(rule__is_enabled=False).select_for_update(of=("self",)):
        alert.members.filter(left_at=None).update(left_at=now)
        Alert.objects.filter(pk=alert.pk).update(state=Alert.State.RESOLVED, resolved_at=now, changed_at=now, member_count=0)
        AlertEvent.objects.create(alert=alert, at=now, kind=AlertEvent.Kind.RESOLVED, details={"rule_off": True})
        report.resolved += 1
    Condition.objects.filter(rule__is_enabled=False).delete()
