"""What a rule does by itself: a command to the miners it is about, within its cool-down and its daily cap, or only the word of it.

Commands go through `commands.dispatch` like anybody's, in the name of the rule. A rule acts only on what this minute's readings bear out,
never on a miner in maintenance (those are not watched), never while another command for the miner is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from alerts.evaluation.answers import Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.holding import Held
from alerts.models import Alert, AlertAction, AlertEvent, AlertMember, AlertRule
from commands import dispatch
from commands.capabilities import impossible
from commands.models import CommandType, MinerCommand
from commands.params import InvalidCommand

log = structlog.get_logger(__name__)

OF_ONE_MINER = frozenset({CommandType.RESTART, CommandType.REBOOT})
"""Restarting helps a miner that hangs. Where many fail together the cause lies elsewhere, and they would all start at once."""
MODE = AlertRule.ActionMode
Outcome = AlertAction.Outcome


def act(rule: AlertRule, held: Held, ground: Ground) -> list[AlertEvent]:
    """Do what the rule says for its miners, as far as it may; returns the events. Inside the evaluation's transaction."""
    bad = [subject for subject, answer in held.raised.items() if isinstance(subject, int) and answer.verdict is Verdict.BAD]
    left = rule.action_daily_cap - _done_today(rule, ground)
    if not bad or left <= 0:
        return []
    events = []
    for member in _due(rule, bad, ground)[:left]:
        events.append(_act_on(rule, member, ground))
    return AlertEvent.objects.bulk_create(events)


def _done_today(rule: AlertRule, ground: Ground) -> int:
    counted = AlertAction.objects.filter(rule=rule, at__gt=ground.now - timedelta(days=1)).exclude(outcome=Outcome.REFUSED)
    return counted.count()


def _due(rule: AlertRule, miners: Sequence[int], ground: Ground) -> list[AlertMember]:
    """Members of the rule's alerts whose miner is bad, was left alone long enough, and is told nothing else."""
    rested_at = ground.now - timedelta(minutes=rule.action_cooldown_minutes)
    resting = AlertAction.objects.filter(rule=rule, at__gt=rested_at).values("miner")
    members = AlertMember.objects.filter(alert__rule=rule, alert__resolved_at=None, left_at=None, miner__in=miners).exclude(
        miner__in=resting
    )
    if rule.action in OF_ONE_MINER:
        members = members.filter(alert__scope=Alert.Scope.MINER)
    busy = MinerCommand.objects.open().filter(miner__in=miners).values("miner")
    return list(members.exclude(miner__in=busy).select_related("alert", "miner__model", "miner__site").order_by("joined_at", "pk"))


def _act_on(rule: AlertRule, member: AlertMember, ground: Ground) -> AlertEvent:
    outcome, command, reason = _try(rule, member, ground)
    AlertAction.objects.create(
        rule=rule,
        miner=member.miner,
        alert=member.alert,
        action=rule.action,
        outcome=outcome,
        command=command,
        reason=reason[:500],
        at=ground.now,
    )
    kind = {Outcome.ACTED: AlertEvent.Kind.ACTED, Outcome.WOULD_ACT: AlertEvent.Kind.WOULD_ACT}.get(outcome, AlertEvent.Kind.COMMENTED)
    details = {"action": rule.action, "miner": member.miner.miner_id, "outcome": outcome.value}
    if command:
        details["command"] = str(command.pk)
    log.info("alert_action", rule=rule.slug, miner_id=member.miner.miner_id, action=rule.action, outcome=outcome.value, reason=reason)
    text = f"{rule.action} {member.miner.miner_id}" + (f": {reason}" if reason else "")
    return AlertEvent(alert=member.alert, at=ground.now, kind=kind, text=text[:500], details=details)


def _try(rule: AlertRule, member: AlertMember, ground: Ground) -> tuple[Outcome, MinerCommand | None, str]:
    """What becomes of it. A dry run is told too what the miner cannot do."""
    miner = member.miner
    reason = impossible([miner], rule.action, {}).get(miner.pk)
    if reason:
        return Outcome.REFUSED, None, reason
    if rule.action_mode != MODE.LIVE:
        return Outcome.WOULD_ACT, None, ""
    order = dispatch.Order(command=rule.action, reason=f"alert rule {rule.slug}: {rule}, alert {member.alert_id}")
    try:
        return Outcome.ACTED, dispatch.create_command(miner, order, requested_by=None, now=ground.now), ""
    except InvalidCommand as error:  # a site's rule may want a second person's approval, which a rule cannot give
        return Outcome.REFUSED, None, str(error)
