from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from alerts.defaults import DEFAULTS
from alerts.evaluation import evaluate
from alerts.evaluation.kinds import KINDS
from alerts.models import Alert, AlertRule, RuleKind
from alerts.tasks import evaluate as evaluate_task
from resilience.models import JobLease
from tests.makers import NOON

pytestmark = pytest.mark.django_db


def test_a_new_installation_has_a_rule_of_each_kind_and_all_are_on():
    enabled = AlertRule.objects.filter(is_enabled=True)
    assert sorted(enabled.values_list("kind", flat=True)) == sorted(RuleKind.values)
    assert KINDS.keys() == set(RuleKind) == DEFAULTS.keys()


def test_rules_that_act_are_off_and_only_say_what_they_would_do():
    acting = AlertRule.objects.exclude(action="")
    assert sorted(acting.values_list("slug", "action", "is_enabled", "action_mode")) == [
        ("hash-rate-zero", "restart", False, "dry_run"),
        ("overheated", "disable", False, "dry_run"),
    ]


def test_an_empty_farm_raises_nothing():
    report = evaluate(NOON)
    assert (report.failed, report.rules, Alert.objects.filter(site__isnull=False).count()) == ({}, len(RuleKind), 0)


def test_the_task_leaves_its_heartbeat_and_one_line():
    line = evaluate_task()
    assert line.startswith(f"{len(RuleKind)} rules, ")
    assert JobLease.objects.get(name="evaluate_alerts").result == line


def test_the_command_evaluates_once_and_says_what_it_did(capsys):
    call_command("evaluate_alerts")
    assert capsys.readouterr().out.startswith(f"{len(RuleKind)} rules, ")


def test_the_command_fails_when_a_rule_does():
    AlertRule.objects.filter(slug="temperature-high").update(racks=7)
    with pytest.raises(CommandError, match="temperature-high failed"):
        call_command("evaluate_alerts")


def test_a_rule_that_fails_leaves_the_others_at_work_and_is_named():
    AlertRule.objects.filter(slug="temperature-high").update(racks=7)
    report = evaluate(NOON)
    assert report.failed.keys() == {"temperature-high"}
    assert report.rules == len(RuleKind) - 1
    assert "temperature-high failed: TypeError" in str(report)
