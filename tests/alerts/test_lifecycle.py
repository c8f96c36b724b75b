from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from django.db import connection

from alerts import lifecycle
from alerts.models import Alert, AlertEvent, Condition, RuleKind, Silence
from tests.alerts.farm import make_alert, make_rule
from tests.makers import NOON, make_miner, make_miners, make_site, make_staff

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(minutes=5)


def test_acknowledging_says_who_and_when_and_leaves_an_event_for_the_outbox():
    alert, person = make_alert(make_rule(RuleKind.MINER_OFFLINE), miners=[make_miner()]), make_staff()
    lifecycle.acknowledge(alert, by=person, note="on my way", now=LATER)
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by, alert.acknowledged_at) == (Alert.State.ACKNOWLEDGED, person, LATER)
    event = alert.events.get()
    assert (event.kind, event.by, event.text, event.routed_at) == (AlertEvent.Kind.ACKNOWLEDGED, person, "on my way", None)


def test_the_first_to_acknowledge_stays_the_one():
    alert, first = make_alert(make_rule(RuleKind.MINER_OFFLINE), miners=[make_miner()]), make_staff()
    lifecycle.acknowledge(alert, by=first, now=NOON)
    lifecycle.acknowledge(alert, by=make_staff(), now=LATER)
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.acknowledged_at, alert.events.count()) == (first, NOON, 1)


def test_alert_of_more_miners_than_a_query_takes_values_is_resolved_by_hand():
    miners, rule = make_miners(make_site(), 40), make_rule(RuleKind.MINER_OFFLINE)
    alert = make_alert(rule, miners=miners)
    Condition.objects.create(rule=rule, miner=miners[-1], bad_since=NOON, raised_at=NOON)
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        before = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 30)
    try:
        lifecycle.resolve_by_hand(alert, by=None, now=LATER)
    finally:
        if connection.vendor == "sqlite":
            connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, before)
    assert Condition.objects.get().is_dismissed
    assert not alert.members.filter(left_at=None).exists()


def test_what_is_resolved_by_hand_stays_quiet_until_it_was_good():
    miner, rule = make_miner(), make_rule(RuleKind.TEMPERATURE_HIGH)
    alert = make_alert(rule, miners=[miner])
    condition = Condition.objects.create(rule=rule, miner=miner, bad_since=NOON, raised_at=NOON)
    lifecycle.resolve_by_hand(alert, by=make_staff(), note="filter changed", now=LATER)
    alert.refresh_from_db()
    condition.refresh_from_db()
    assert (alert.state, alert.resolved_at, alert.members.get().left_at) == (Alert.State.RESOLVED, LATER, LATER)
    assert condition.is_dismissed


def test_a_resolved_alert_cannot_be_acknowledged_but_can_be_commented():
    alert = make_alert(make_rule(RuleKind.MINER_OFFLINE), miners=[make_miner()])
    lifecycle.resolve_by_hand(alert, by=None, now=LATER)
    with pytest.raises(lifecycle.AlertOver, match="resolved at 2026-03-01 12:05"):
        lifecycle.acknowledge(alert, by=make_staff(), now=LATER)
    assert lifecycle.comment(alert, by=None, text="it was the fuse", now=LATER).text == "it was the fuse"


def test_silencing_a_racks_alert_silences_that_rack_for_that_rule():
    site = make_site()
    rule = make_rule(RuleKind.MINER_OFFLINE)
    alert = make_alert(rule, miners=make_miners(site, 3, zone="A", rack="R07"), scope=Alert.Scope.RACK, scope_key="A/R07")
    lifecycle.silence_for(alert, until=NOON + timedelta(hours=2), by=make_staff(), reason="electrician is there", now=NOON)
    silence = Silence.objects.get()
    assert (silence.site, silence.zone, silence.rack, silence.miner, silence.rule) == (site, "A", "R07", None, rule)
    alert.refresh_from_db()
    assert alert.is_silenced
    assert alert.events.get().details == {"silenced_until": "2026-03-01T14:00:00+00:00"}
