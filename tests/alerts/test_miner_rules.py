"""Each kind that looks at miners: it raises, holds, clears, and what is not heard of resolves nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.models import Alert, Condition, RuleKind
from miners.models import MinerTag
from tests.alerts.farm import Farm, event_kinds, make_rule, only_rule, open_alerts
from tests.makers import make_command, make_miner_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def farm() -> Farm:
    return Farm()


def test_a_miner_is_offline_after_so_many_rounds_and_back_with_one_answer(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    farm.add("m1", "m2", "m3", "m4")
    farm.run(2)
    farm.offline(["m1"])
    farm.run(2)
    assert open_alerts() == []
    farm.run()
    assert open_alerts() == ["miner_offline miner m1 ×1"]
    assert Alert.objects.get().value == 3
    farm.well(["m1"])
    farm.run()
    assert open_alerts() == []


def test_a_miner_that_nothing_is_heard_of_is_offline_too(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    farm.add("m1", "m2", "m3", "m4")
    farm.run(2)
    farm.quiet(["m1"])
    farm.run(4)
    assert open_alerts() == ["miner_offline miner m1 ×1"]


def test_disabled_miners_raise_nothing(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    miners = farm.add("m1", "m2", "m3", "m4")
    farm.run(2)
    farm.offline(["m1"])
    miners[0].is_enabled = False
    miners[0].save()
    farm.run(5)
    assert open_alerts() == []


def test_a_low_hash_rate_is_raised_after_its_minutes_and_over_with_the_margin(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80, for_minutes=3, clear_margin=5, clear_minutes=2)
    farm.add("m1", "m2")
    farm.run()
    farm.set(["m1"], hashrate_ghs=70_000.0)
    farm.run(3)
    assert open_alerts() == []
    farm.run()
    assert open_alerts() == ["hashrate_low miner m1 ×1"]
    farm.set(["m1"], hashrate_ghs=78_000.0)  # 82 %: above the threshold, short of the margin
    farm.run(5)
    assert open_alerts() == ["hashrate_low miner m1 ×1"]
    farm.well(["m1"])
    farm.run(2)
    assert open_alerts() == ["hashrate_low miner m1 ×1"]
    farm.run()
    assert open_alerts() == []


def test_a_short_dip_of_the_hash_rate_raises_nothing(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80, for_minutes=3)
    farm.add("m1")
    for _ in range(3):
        farm.set(["m1"], hashrate_ghs=10_000.0)
        farm.run(2)
        farm.well(["m1"])
        farm.run()
    assert open_alerts() == []
    assert Condition.objects.count() == 0


def test_a_hash_rate_of_zero_shows_before_the_average_falls(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80)
    farm.add("m1")
    farm.set(["m1"], hashrate_ghs=94_000.0, hashrate_5s_ghs=0.0)
    farm.run()
    assert open_alerts() == ["hashrate_low miner m1 ×1"]
    assert Alert.objects.get().value == 0


def test_a_sleeping_miner_has_no_low_hash_rate(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80)
    farm.add("m1")
    farm.set(["m1"], hashrate_ghs=0.0, mining_state="sleeping")
    farm.run(3)
    assert open_alerts() == []


def test_a_miner_that_is_put_to_sleep_ends_its_low_hash_rate(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80)
    farm.add("m1")
    farm.set(["m1"], hashrate_ghs=10.0)
    farm.run(2)
    farm.set(["m1"], hashrate_ghs=0.0, mining_state="sleeping")
    farm.run(1)
    assert open_alerts() == []


def test_a_miner_that_answers_without_its_lists_is_not_called_silent(farm):
    only_rule(RuleKind.FAN_FAILED, threshold=500)
    farm.add("m1")
    farm.set(["m1"], fan_speeds=[5_400, 0])
    farm.run(2)
    farm.set(["m1"], fan_speeds=None, mining_state="sleeping", hashrate_ghs=0.0)
    farm.run(10)
    assert open_alerts() == ["fan_failed miner m1 ×1"]
    assert "not_heard_since" not in Alert.objects.get().details


def test_the_nameplate_is_expected_where_the_miner_does_not_say(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80)
    farm.add("m1", model=make_miner_model(hashrate_ghs=200_000.0))
    farm.set(["m1"], hashrate_expected_ghs=None)
    farm.run()
    assert open_alerts() == ["hashrate_low miner m1 ×1"]
    assert Alert.objects.get().value == pytest.approx(47.4)


def test_a_miner_without_any_expectation_is_not_judged(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80)
    farm.add("m1")
    farm.set(["m1"], hashrate_expected_ghs=None, hashrate_ghs=1.0)
    farm.run(3)
    assert open_alerts() == []


def test_the_temperature_limit_comes_from_the_model_where_it_is_known(farm):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90, threshold_from_model=True)
    farm.add("m1", model=make_miner_model(temperature_max=80.0))
    farm.add("m2", model=make_miner_model(temperature_max=None))
    farm.set(["m1", "m2"], temperature_max=85.0)
    farm.run()
    assert open_alerts() == ["temperature_high miner m1 ×1"]
    assert Alert.objects.get().details["threshold"] == 80


def test_a_hot_miner_that_falls_silent_stays_an_alert_and_says_so(farm):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90, clear_margin=3)
    farm.add("m1", "m2", "m3")
    farm.set(["m1"], temperature_max=96.0)
    farm.run(2)
    farm.quiet(["m1"])
    farm.run(30)
    alert = Alert.objects.open().get()
    assert alert.details["not_heard_since"] == farm.minutes(2).isoformat()
    farm.set(["m1"], temperature_max=88.0)
    farm.run(2)
    assert "not_heard_since" not in Alert.objects.open().get().details
    farm.well(["m1"])
    farm.run()
    assert open_alerts() == []


@pytest.mark.parametrize(
    "kind", [RuleKind.TEMPERATURE_HIGH, RuleKind.HASHRATE_LOW, RuleKind.POWER_HIGH, RuleKind.FAN_FAILED, RuleKind.BOARD_LOST]
)
def test_an_unreachable_miner_resolves_no_alert_of_what_it_measured(farm, kind):
    only_rule(kind)
    farm.add("m1", "m2", "m3", model=make_miner_model(fans=2))
    boards = [{"id": 0, "hashrate": 30_000.0}, {"id": 1, "hashrate": 0.0}, {"id": 2, "hashrate": 30_000.0}]
    farm.set(["m1"], temperature_max=99.0, hashrate_ghs=60_000.0, power_consumption=9_000.0, fan_speeds=[5_000, 0], boards=_boards(boards))
    farm.run(2)
    assert open_alerts() == [f"{kind.value} miner m1 ×1"]
    farm.offline(["m1"])
    farm.run(30)
    assert open_alerts() == [f"{kind.value} miner m1 ×1"]
    farm.quiet(["m1"])
    farm.run(30)
    assert open_alerts() == [f"{kind.value} miner m1 ×1"]


def _boards(boards):
    from telemetry.readings import Board

    return [Board(**board) for board in boards]


def test_a_standing_fan_is_raised_and_named(farm):
    only_rule(RuleKind.FAN_FAILED, threshold=500)
    farm.add("m1", "m2", model=make_miner_model(fans=4))
    farm.set(["m1"], fan_speeds=[5_400, 5_400, 0, 5_400])
    farm.set(["m2"], fan_speeds=[5_400, 5_400, 5_300, 5_400])
    farm.run()
    assert open_alerts() == ["fan_failed miner m1 ×1"]
    assert Alert.objects.get().details["fans"] == [3]
    farm.set(["m1"], fan_speeds=[5_400, 5_400, 5_300, 5_400])
    farm.run()
    assert open_alerts() == []


def test_an_empty_fan_socket_and_a_miner_without_fans_raise_nothing(farm):
    only_rule(RuleKind.FAN_FAILED, threshold=500)
    farm.add("two-fans", model=make_miner_model(fans=2))
    farm.add("hydro", model=make_miner_model(fans=0, cooling="hydro"))
    farm.set(["two-fans"], fan_speeds=[5_400, 5_400, 0, 0])
    farm.set(["hydro"], fan_speeds=[0, 0, 0, 0])
    farm.run()
    assert open_alerts() == []


def test_a_lost_board_is_no_lost_chip_and_says_the_low_hash_rate_too(farm):
    only_rule(RuleKind.BOARD_LOST, threshold=1)
    make_rule(RuleKind.CHIPS_LOST, threshold=1)
    make_rule(RuleKind.HASHRATE_LOW, threshold=80)
    farm.add("m1")
    whole = {"chips_ok": 110, "chips_total": 110}
    boards = _boards(
        [
            {"id": 0, "hashrate": 31e3, **whole},
            {"id": 1, "hashrate": 31e3, **whole},
            {"id": 2, "hashrate": 0.0, "chips_ok": 0, "chips_total": 110},
        ]
    )
    farm.set(["m1"], boards=boards, hashrate_ghs=62_000.0)
    farm.run()
    assert open_alerts() == ["board_lost miner m1 ×1"]
    assert Alert.objects.get().details["boards"] == ["2"]


def test_a_board_that_is_not_even_reported_is_missed_by_the_model(farm):
    only_rule(RuleKind.BOARD_LOST, threshold=1, threshold_from_model=True)
    farm.add("m1", model=make_miner_model(boards=3))
    farm.set(["m1"], boards=_boards([{"id": 0, "hashrate": 31e3}, {"id": 1, "hashrate": 31e3}]), hashrate_ghs=62_000.0)
    farm.run()
    assert open_alerts() == ["board_lost miner m1 ×1"]


def test_lost_chips_are_counted_on_boards_that_work(farm):
    only_rule(RuleKind.CHIPS_LOST, threshold=5)
    farm.add("m1", "m2")
    farm.set(["m1"], boards=_boards([{"id": 0, "hashrate": 31e3, "chips_ok": 100, "chips_total": 110}]))
    farm.set(["m2"], boards=_boards([{"id": 0, "hashrate": 31e3, "chips_ok": 109, "chips_total": 110}]))
    farm.run()
    assert open_alerts() == ["chips_lost miner m1 ×1"]
    assert Alert.objects.get().value == pytest.approx(9.09, abs=0.01)


def test_rejects_are_those_since_the_last_look(farm):
    only_rule(RuleKind.REJECTS_HIGH, threshold=5, clear_margin=1)
    farm.add("m1", "m2")
    farm.set(["m1"], accepted_shares=10_000, rejected_shares=5_000)  # long ago; nothing is rejected now
    farm.run(12)
    assert open_alerts() == []
    farm.set(["m1"], accepted_shares=10_090, rejected_shares=5_010)
    farm.run(11)
    assert open_alerts() == ["rejects_high miner m1 ×1"]
    assert Alert.objects.get().value == pytest.approx(10)
    farm.set(["m1"], accepted_shares=10_290, rejected_shares=5_011)
    farm.run(11)
    assert open_alerts() == []


def test_a_few_shares_are_no_rate_and_a_restart_is_no_look(farm):
    only_rule(RuleKind.REJECTS_HIGH, threshold=5)
    farm.add("m1", "m2")
    farm.set(["m1"], accepted_shares=100, rejected_shares=0)
    farm.set(["m2"], accepted_shares=100, rejected_shares=100)
    farm.run(2)
    farm.set(["m1"], accepted_shares=105, rejected_shares=3)
    farm.set(["m2"], accepted_shares=10, rejected_shares=90)
    farm.run(12)
    assert open_alerts() == []


def test_a_pool_that_hardly_anybody_uses_is_wrong(farm):
    only_rule(RuleKind.WRONG_POOL)
    farm.add(*[f"m{number}" for number in range(1, 11)])
    farm.set([f"m{number}" for number in range(1, 11)], pool_url="stratum+tcp://eu.pool.example:3333")
    farm.set(["m1"], pool_url="stratum+tcp://thief.example:3333")
    farm.set(["m2", "m3"], pool_url="stratum+tcp://backup.example:443")
    farm.run()
    assert open_alerts() == ["wrong_pool miner m1 ×1"]
    assert Alert.objects.get().details["pool"] == "thief.example"
    farm.set(["m1"], pool_url="EU.pool.example:25")
    farm.run()
    assert open_alerts() == []


def test_expected_pools_are_right_whatever_most_miners_do(farm):
    only_rule(RuleKind.WRONG_POOL, expected_pools=["eu.pool.example"], group_percent=100)
    farm.add("m1", "m2", "m3")
    farm.set(["m1", "m2", "m3"], pool_url="stratum+tcp://thief.example:3333")
    farm.set(["m3"], pool_url="stratum+tcp://eu.pool.example:3333")
    farm.run()
    assert open_alerts() == ["wrong_pool miner m1 ×1", "wrong_pool miner m2 ×1"]


def test_the_expected_worker_may_leave_out_the_account(farm):
    only_rule(RuleKind.WRONG_WORKER, group_percent=100)
    farm.add("whole", worker_name="account.rig_7")
    farm.add("short", worker_name="rig_7")
    farm.add("other", worker_name="rig_8")
    farm.add("none")
    farm.set(["whole", "short", "other", "none"], worker_name="Account.RIG_7")
    farm.run()
    assert open_alerts() == ["wrong_worker miner other ×1"]


def test_restarts_within_the_window_are_a_loop_and_ordered_ones_are_not(farm):
    only_rule(RuleKind.REBOOT_LOOP, threshold=3, for_minutes=60)
    loop, _, told = farm.add("loop", "well", "told")
    farm.run()
    for _ in range(3):
        make_command(told, sent_at=farm.now, verified_at=farm.now)
        farm.set(["loop", "told"], uptime_seconds=10)
        farm.run()
        farm.set(["loop", "told"], uptime_seconds=310)
        farm.run(5)
    assert open_alerts() == ["reboot_loop miner loop ×1"]
    assert loop.restarts.count() == 3
    farm.well(["told"])
    farm.set(["loop"], uptime_seconds=10_000)
    farm.run(60)
    assert open_alerts() == []


def test_power_is_measured_by_the_nameplate(farm):
    only_rule(RuleKind.POWER_HIGH, threshold=115)
    farm.add("m1", "m2", model=make_miner_model(power_consumption=3_000.0))
    farm.set(["m1"], power_consumption=3_600.0)
    farm.run()
    assert open_alerts() == ["power_high miner m1 ×1"]
    assert Alert.objects.get().value == pytest.approx(120)


def test_a_command_that_was_not_verified_is_raised_until_one_was(farm):
    only_rule(RuleKind.COMMAND_NOT_VERIFIED, threshold=1, for_minutes=60)
    miner, _ = farm.add("m1", "m2")
    farm.run()
    make_command(miner, sent_at=farm.now, verified_at=farm.now, verification="not_verified")
    farm.run()
    assert open_alerts() == ["command_not_verified miner m1 ×1"]
    assert Alert.objects.get().details["commands"] == ["restart"]
    make_command(miner, sent_at=farm.now, verified_at=farm.now, verification="verified")
    farm.run()
    assert open_alerts() == []


def test_a_rule_looks_only_at_its_scope(farm):
    rule = only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90, group_percent=100)
    model, tag = make_miner_model(), MinerTag.objects.create(name="repair")
    farm.add("in", model=model, zone="A", rack="R1")[0].tags.add(tag)
    farm.add("other-model", zone="A", rack="R1")[0].tags.add(tag)
    farm.add("other-rack", model=model, zone="A", rack="R2")[0].tags.add(tag)
    farm.add("other-zone", model=model, zone="B", rack="R1")[0].tags.add(tag)
    farm.add("other-tag", model=model, zone="A", rack="R1")
    elsewhere = Farm()
    elsewhere.add("elsewhere", model=model, zone="A", rack="R1")[0].tags.add(tag)
    rule.sites.add(farm.site)
    rule.miner_models.add(model)
    rule.tags.add(tag)
    rule.racks = ["A/R1"]
    rule.save()
    for each in (farm, elsewhere):
        each.set(["in", "other-model", "other-rack", "other-zone", "other-tag", "elsewhere"], temperature_max=99.0)
        each.run()
    assert open_alerts() == ["temperature_high miner in ×1"]


def test_looking_twice_at_the_same_minute_changes_nothing(farm):
    from alerts.evaluation import evaluate

    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    farm.add("m1", "m2")
    farm.set(["m1"], temperature_max=99.0)
    farm.run()
    report = evaluate(farm.now)
    assert (report.opened, report.events) == (0, 0)
    assert event_kinds(Alert.objects.get()) == ["opened"]


def test_an_alert_of_a_rule_that_is_switched_off_is_closed(farm):
    rule = only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    farm.add("m1", "m2")
    farm.set(["m1"], temperature_max=99.0)
    farm.run()
    rule.is_enabled = False
    rule.save()
    farm.run()
    assert open_alerts() == []
    assert Condition.objects.count() == 0
    assert Alert.objects.get().resolved_at == farm.now - timedelta(0)
