"""What fails together is one alert, which grows, merges, narrows and splits as things change."""

from __future__ import annotations

import random

import pytest

from alerts import lifecycle
from alerts.evaluation.grouping import Bar, Place, group, subnet_of, totals_of
from alerts.models import Alert, AlertEvent, AlertMember, RuleKind
from tests.alerts.farm import Farm, event_kinds, make_rule, only_rule, open_alerts

pytestmark = pytest.mark.django_db


@pytest.fixture
def farm() -> Farm:
    return Farm()


def test_a_rack_that_loses_power_is_one_alert_with_its_miners_inside(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    rack = farm.add_rack("A", "R1", 10)
    farm.add_rack("A", "R2", 10)
    farm.run(2)
    farm.offline(rack)
    farm.run(5)
    assert open_alerts() == ["miner_offline rack A/R1 ×10"]
    alert = Alert.objects.get()
    assert event_kinds(alert) == ["opened"]
    assert alert.details["total"] == 10
    assert set(AlertMember.objects.values_list("miner", flat=True)) == {miner.pk for miner in rack}


def test_a_rack_and_a_lonely_miner_elsewhere_are_two_alerts(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    rack, other = farm.add_rack("A", "R1", 10), farm.add_rack("A", "R2", 10)
    farm.run(2)
    farm.offline([*rack, other[4]])
    farm.run(3)
    assert open_alerts() == ["miner_offline miner A-R2-05 ×1", "miner_offline rack A/R1 ×10"]


def test_a_rack_alert_grows_into_its_zones_and_tells_so_once(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    racks = [farm.add_rack("A", f"R{number}", 5) for number in range(1, 5)]
    farm.add_rack("B", "R1", 60)
    farm.run(2)
    farm.offline(racks[0])
    farm.run(3)
    first = Alert.objects.get()
    lifecycle.acknowledge(first, by=None, now=farm.now)
    farm.offline(racks[1])
    farm.run(3)
    assert open_alerts() == ["miner_offline zone A ×10"]
    for rack in racks[2:]:
        farm.offline(rack)
    farm.run(3)
    assert open_alerts() == ["miner_offline zone A ×20"]
    assert event_kinds(Alert.objects.get()) == ["opened", "acknowledged", "grew", "grew"]
    assert Alert.objects.get().pk == first.pk
    assert Alert.objects.get().state == Alert.State.OPEN, "what grew beyond what was acknowledged is nobody's yet"


def test_miners_that_stay_away_after_the_rest_came_back_keep_the_one_alert(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    rack = farm.add_rack("A", "R1", 10)
    farm.add_rack("A", "R2", 10)
    farm.run(2)
    farm.offline(rack)
    farm.run(3)
    farm.well(rack[2:])
    farm.run(1)
    assert open_alerts() == ["miner_offline rack A/R1 ×2"]
    assert Alert.objects.count() == 1
    assert event_kinds(Alert.objects.get()) == ["opened", "shrank"]
    farm.well(rack)
    farm.run(1)
    assert open_alerts() == []
    assert event_kinds(Alert.objects.get()) == ["opened", "shrank", "resolved"]


def test_a_site_alert_narrows_to_the_rack_that_is_left(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    racks = [farm.add_rack("A", f"R{number}", 6) for number in range(1, 6)] + [farm.add_rack("B", "R9", 6)]
    farm.run(2)
    farm.offline([miner for rack in racks for miner in rack])
    farm.run(3)
    assert open_alerts() == ["miner_offline site ×36"]
    farm.well([miner for rack in racks[1:] for miner in rack])
    farm.run(1)
    assert open_alerts() == ["miner_offline rack A/R1 ×6"]
    assert Alert.objects.count() == 1


def test_a_site_alert_splits_into_the_two_racks_that_are_left(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    racks = [farm.add_rack("A", f"R{number}", 4) for number in range(1, 10)] + [farm.add_rack("B", "R9", 4)]
    farm.run(2)
    farm.offline([miner for rack in racks for miner in rack])
    farm.run(3)
    farm.well([miner for rack in racks[1:9] for miner in rack])
    farm.run(1)
    assert open_alerts() == ["miner_offline rack A/R1 ×4", "miner_offline rack B/R9 ×4"]
    assert sorted(AlertEvent.objects.values_list("kind", flat=True)) == ["opened", "shrank", "split"]


def test_single_alerts_merge_into_the_racks_when_the_others_follow(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    rack = farm.add_rack("A", "R1", 6)
    farm.add_rack("A", "R2", 30)
    farm.run(2)
    farm.offline(rack[:2])
    farm.run(4)
    assert open_alerts() == ["miner_offline miner A-R1-01 ×1", "miner_offline miner A-R1-02 ×1"]
    farm.offline(rack)
    farm.run(3)
    assert open_alerts() == ["miner_offline rack A/R1 ×6"]
    merged = Alert.objects.exclude(resolved_at=None).get()
    assert event_kinds(merged) == ["opened", "merged"]
    assert merged.events.last().details["into_alert"] == Alert.objects.open().get().pk


def test_a_miner_about_to_join_a_group_is_not_alerted_of_alone(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80, for_minutes=5)
    rack = farm.add_rack("A", "R1", 6)
    farm.add_rack("A", "R2", 30)
    farm.run(2)
    farm.set(rack[:1], hashrate_ghs=10_000.0)
    farm.run(2)
    farm.set(rack, hashrate_ghs=10_000.0)
    farm.run(5)
    assert open_alerts() == []
    farm.run(5)
    assert open_alerts() == ["hashrate_low rack A/R1 ×6"]
    assert Alert.objects.count() == 1


def test_miners_of_one_pool_are_its_alert_and_not_the_sites(farm):
    only_rule(RuleKind.HASHRATE_LOW, threshold=80)
    miners = farm.add_rack("A", "R1", 6)
    farm.set(miners, pool_url="stratum+tcp://eu.pool.example:3333")
    farm.run(2)
    farm.set(miners, pool_url="stratum+tcp://eu.pool.example:3333", hashrate_ghs=0.0)
    farm.run(1)
    assert open_alerts() == ["hashrate_low pool eu.pool.example ×6"]


def test_a_switch_that_fails_is_its_subnets_alert(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    behind = [farm.add(f"m{number}", ip_address=f"10.9.1.{number}")[0] for number in range(1, 9)]
    for number in range(1, 30):
        farm.add(f"n{number}", ip_address=f"10.9.2.{number}")
    farm.run(2)
    farm.offline(behind)
    farm.run(3)
    assert open_alerts() == ["miner_offline subnet 10.9.1.0/24 ×8"]


def test_a_silent_collector_is_one_alert_and_no_miner_is_offline(farm):
    farm = Farm(collector=True)
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    make_rule(RuleKind.COLLECTOR_SILENT, threshold=3)
    farm.add_rack("A", "R1", 10)
    farm.run(3)
    farm.is_silent = True
    farm.run(30)
    assert open_alerts() == ["collector_silent site ×0"]
    farm.is_silent = False
    farm.run(2)
    assert open_alerts() == []
    assert Alert.objects.count() == 1


def test_what_was_offline_before_the_collector_fell_silent_stays_so(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    miner, *_ = farm.add_rack("A", "R1", 10)
    farm.run(3)
    farm.offline([miner])
    farm.run(3)
    farm.is_silent = True
    farm.run(30)
    assert open_alerts() == ["miner_offline miner A-R1-01 ×1"]
    assert Alert.objects.get().details["not_heard_since"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_comes_and_goes_each_miner_is_in_one_alert_and_each_alert_has_its_miners(farm, seed):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    racks = [farm.add_rack(zone, f"R{number}", 5) for zone in "AB" for number in range(1, 4)]
    everybody, chance = [str(miner) for rack in racks for miner in rack], random.Random(seed)
    hot: set[str] = set()
    for _ in range(40):
        some = chance.choice([everybody, [str(miner) for miner in chance.choice(racks)], chance.sample(everybody, 3)])
        hot = hot | set(some) if chance.random() < 0.5 else hot - set(some)
        farm.well(everybody)
        farm.set(hot, temperature_max=99.0)
        farm.run(1)
        present = AlertMember.objects.filter(left_at=None).values_list("alert", "alert__resolved_at", "miner__miner_id")
        assert sorted(name for _, _, name in present) == sorted(hot)
        assert {resolved for _, resolved, _ in present} <= {None}
        assert {alert for alert, _, _ in present} == set(Alert.objects.open().values_list("pk", flat=True))
        for alert in Alert.objects.open():
            assert alert.member_count == alert.members.filter(left_at=None).count()
            if alert.scope == Alert.Scope.RACK:
                inside = alert.members.filter(left_at=None).values_list("miner__zone", "miner__rack")
                assert {f"{zone}/{rack}" for zone, rack in inside} == {alert.scope_key}


def _racks(*failing: int) -> tuple[list[int], dict[int, Place]]:
    """Racks of ten, the first so many of each of which fail."""
    places, bad = {}, []
    for rack, count in enumerate(failing):
        for number in range(10):
            miner = rack * 10 + number
            places[miner] = Place(site=1, zone="A", rack=f"R{rack}", subnet=f"10.0.{rack}.0/24")
            bad += [miner] if number < count else []
    return bad, places


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ((10, 0, 0), ["rack A/R0 10"]),
        ((10, 1, 0), ["rack A/R0 10"]),
        ((10, 4, 0), ["rack A/R0 10"]),
        ((10, 10, 0), ["zone A 20"]),
        ((5, 5, 5), ["zone A 15"]),
        ((2, 2, 2), []),
        ((4, 5, 0), ["rack A/R1 5"]),
    ],
)
def test_the_container_is_named_that_explains_most_at_the_least_cost(failing, expected):
    bad, places = _racks(*failing)
    kinds = ("rack", "zone", "site")
    found = group(bad, places, totals_of(places.values(), kinds), kinds, Bar(from_miners=3, percent=50))
    assert [f"{each.container.scope} {each.container.key} {len(each.miners)}" for each in found] == expected


def test_host_names_belong_to_no_subnet():
    assert (subnet_of("10.1.2.3"), subnet_of("fd00::1"), subnet_of("m1.farm"), subnet_of("")) == ("10.1.2.0/24", "fd00::/64", "", "")
