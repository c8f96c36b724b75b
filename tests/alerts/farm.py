"""Makers of rules and alerts, and a farm whose minutes a test lets pass."""

from __future__ import annotations

import itertools
from typing import Any

from alerts.models import Alert, AlertMember, AlertRule, RuleKind
from tests.makers import NOON

_numbers = itertools.count(1)


def make_rule(kind: RuleKind, **fields: Any) -> AlertRule:
    """A rule that raises and clears at once unless told otherwise."""
    defaults = {"slug": f"test-{kind.value.replace('_', '-')}-{next(_numbers)}", "for_minutes": 0, "clear_minutes": 0}
    return AlertRule.objects.create(kind=kind, **{**defaults, **fields})


def make_alert(rule: AlertRule, **fields: Any) -> Alert:
    """An open alert; with `miners`, about those."""
    miners = fields.pop("miners", [])
    only = miners[0] if len(miners) == 1 else None
    defaults = {
        "site": miners[0].site if miners else None,
        "miner": only,
        "scope": Alert.Scope.MINER if only else Alert.Scope.SITE if miners else Alert.Scope.SYSTEM,
        "scope_key": str(only.pk) if only else "",
        "severity": rule.severity,
        "member_count": len(miners),
        "opened_at": NOON,
        "changed_at": NOON,
        "seen_at": NOON,
    }
    alert = Alert.objects.create(rule=rule, **{**defaults, **fields})
    AlertMember.objects.bulk_create(AlertMember(alert=alert, miner=miner, joined_at=NOON) for miner in miners)
    return alert
