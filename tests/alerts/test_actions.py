"""What rules do to miners: within their cool-down and daily cap, through the one door for commands, or only in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.models import Alert, AlertAction, AlertRule, RuleKind, Silence
from commands.models import ApprovalRule, CommandStatus, CommandType, MinerCommand
from tests.alerts.farm import Farm, event_kinds, only_rule, open_alerts
from tests.makers import make_command, make_miner_model

pytestmark = pytest.mark.django_db
LIVE, DRY = AlertRule.ActionMode.LIVE, AlertRule.ActionMode.DRY_RUN


@pytest.fixture
def farm() -> Farm:
    return Farm()


def restarting(**fields) -> AlertRule:
    defaults = {"threshold": 1, "clear_margin": 20, "action": CommandType.RESTART, "action_mode": LIVE}
    return only_rule(RuleKind.HASHRATE_LOW, **{**defaults, **fields})


def hang(farm: Farm, *names: str) -> None:
    farm.set(names, hashrate_ghs=0.0, mining_state="fault")


def test_a_miner_that_answers_and_does_not_hash_is_restarted_in_the_rules_name(farm):
    rule = restarting()
    miner, *_ = farm.add("m1", "m2", "m3", "m4")
    farm.run(1)
    hang(farm, "m1")
    farm.run(1)
    command = MinerCommand.objects.get()
    assert (command.miner, command.command, command.requested_by, command.status) == (miner, "restart", None, CommandStatus.PENDING)
    assert f"alert rule {rule.slug}" in command.reason
    alert = Alert.objects.get()
    assert event_kinds(alert) == ["opened", "acted"]
    assert alert.events.last().details == {"action": "restart", "miner": "m1", "outcome": "acted", "command": str(command.pk)}


def test_a_dry_run_says_what_it_would_have_done_and_does_nothing(farm):
    restarting(action_mode=DRY)
    farm.add("m1", "m2", "m3", "m4")
    hang(farm, "m1")
    farm.run(5)
    assert MinerCommand.objects.count() == 0
    assert event_kinds(Alert.objects.get()) == ["opened", "would_act"]
    assert AlertAction.objects.get().outcome == AlertAction.Outcome.WOULD_ACT


def test_a_miner_is_left_alone_for_the_cool_down(farm):
    restarting(action_cooldown_minutes=30)
    farm.add("m1", "m2", "m3", "m4")
    hang(farm, "m1")
    farm.run(29)
    MinerCommand.objects.update(status=CommandStatus.COMPLETED)
    assert MinerCommand.objects.count() == 1
    farm.run(4)
    assert MinerCommand.objects.count() == 2


def test_nothing_is_sent_while_another_command_is_open(farm):
    restarting()
    miner, *_ = farm.add("m1", "m2", "m3", "m4")
    make_command(miner, CommandType.SET_FAN)
    hang(farm, "m1")
    farm.run(3)
    assert MinerCommand.objects.count() == 1


def test_a_rule_stops_at_its_daily_cap_and_goes_on_the_next_day(farm):
    restarting(action_daily_cap=2, group_percent=100)
    farm.add(*[f"m{number}" for number in range(1, 9)])
    hang(farm, "m1", "m2", "m3")
    farm.run(3)
    assert MinerCommand.objects.count() == 2
    AlertAction.objects.update(at=farm.now - timedelta(days=2))
    farm.run(1)
    assert MinerCommand.objects.filter(miner__miner_id="m3").exists()


def test_many_that_fail_together_are_not_restarted_but_are_switched_off_when_too_hot(farm):
    restarting()
    rack = farm.add_rack("A", "R1", 5)
    hang(farm, *map(str, rack))
    farm.run(2)
    assert open_alerts() == ["hashrate_low rack A/R1 ×5"]
    assert MinerCommand.objects.count() == 0
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=100, action=CommandType.DISABLE, action_mode=LIVE)
    farm.set(rack, temperature_max=105.0)
    farm.run(1)
    assert MinerCommand.objects.filter(command="disable").count() == 5


def test_a_miner_in_maintenance_is_not_touched(farm):
    restarting()
    miner, *_ = farm.add("m1", "m2", "m3")
    Silence.objects.create(miner=miner, is_maintenance=True, starts_at=farm.now, ends_at=farm.now + timedelta(hours=1), reason="new fan")
    hang(farm, "m1")
    farm.run(3)
    assert MinerCommand.objects.count() == 0


def test_a_miner_whose_reading_is_old_is_not_touched(farm):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=100, action=CommandType.DISABLE, action_mode=LIVE, action_cooldown_minutes=5)
    farm.add("m1", "m2", "m3")
    farm.set(["m1"], temperature_max=105.0)
    farm.run(1)
    MinerCommand.objects.update(status=CommandStatus.COMPLETED)
    farm.quiet(["m1"])
    farm.run(20)
    assert open_alerts() == ["temperature_high miner m1 ×1"]
    assert MinerCommand.objects.count() == 1


@pytest.mark.parametrize("mode", [LIVE, DRY])
def test_what_the_firmware_cannot_do_is_said_and_not_sent(farm, mode):
    restarting(action=CommandType.DISABLE, action_mode=mode)
    farm.add("m1", "m2", "m3", model=make_miner_model(capabilities=["reboot"]))
    farm.set(["m1"], hashrate_ghs=0.0, model="Antminer S19", firmware_version="2023.07.21")
    farm.run(2)
    assert MinerCommand.objects.count() == 0
    assert "cannot do disable" in AlertAction.objects.get().reason
    assert "cannot do disable" in Alert.objects.get().events.last().text


def test_a_rule_cannot_get_around_the_second_persons_approval(farm):
    restarting()
    farm.add("m1", "m2", "m3")
    ApprovalRule.objects.create(site=farm.site, commands=["restart"])
    hang(farm, "m1")
    farm.run(2)
    assert MinerCommand.objects.count() == 0
    assert "second person" in AlertAction.objects.get().reason
