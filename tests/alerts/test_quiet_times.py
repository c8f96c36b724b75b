"""Silences, maintenance windows, flapping, and what people closed by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts import lifecycle
from alerts.models import Alert, MinerRestart, RuleKind, Silence
from tests.alerts.farm import Farm, event_kinds, only_rule, open_alerts

pytestmark = pytest.mark.django_db


@pytest.fixture
def farm() -> Farm:
    return Farm()


def window(farm: Farm, minutes: int, **fields) -> Silence:
    defaults = {"starts_at": farm.now, "ends_at": farm.now + timedelta(minutes=minutes), "reason": "work", "is_maintenance": True}
    return Silence.objects.create(**{**defaults, **fields})


@pytest.mark.parametrize("place", [{"site": True}, {"zone": "A"}, {"site": True, "rack": "R1"}, {"miner": True}, {"rule": True}, {}])
def test_a_maintenance_window_keeps_its_miners_quiet_wherever_it_holds(farm, place):
    rule = only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    miner, *_ = farm.add_rack("A", "R1", 3)
    farm.run(1)
    named = {"site": farm.site, "miner": miner, "rule": rule}
    window(farm, 30, **{name: named[name] if value is True else value for name, value in place.items()})
    farm.set([miner], temperature_max=99.0)
    farm.run(5)
    assert open_alerts() == []


def test_a_maintenance_window_elsewhere_quiets_nothing_here(farm):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    miner, *_ = farm.add_rack("A", "R1", 3)
    farm.run(1)
    window(farm, 30, zone="B")
    window(farm, 30, site=Farm().site)
    farm.set([miner], temperature_max=99.0)
    farm.run(1)
    assert open_alerts() == ["temperature_high miner A-R1-01 ×1"]


def test_maintenance_ends_the_alerts_of_what_is_worked_on(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    miner, *_ = farm.add_rack("A", "R1", 5)
    farm.run(1)
    farm.offline([miner])
    farm.run(3)
    window(farm, 30, miner=miner)
    farm.run(1)
    assert open_alerts() == []
    assert Alert.objects.get().events.last().details == {"unwatched": True}


def test_the_end_of_a_window_fires_for_what_is_still_bad_and_not_for_what_is_fine(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    away, back, *_ = farm.add_rack("A", "R1", 8)
    farm.run(1)
    window(farm, 20, rack="R1")
    farm.offline([away, back])
    farm.run(15)
    farm.well([back])
    farm.run(10)
    assert open_alerts() == ["miner_offline miner A-R1-01 ×1"]
    assert Alert.objects.count() == 1


def test_restarts_during_maintenance_do_not_count_afterwards(farm):
    only_rule(RuleKind.REBOOT_LOOP, threshold=2, for_minutes=60)
    miner, *_ = farm.add_rack("A", "R1", 3)
    farm.run(1)
    window(farm, 20, rack="R1")
    for _ in range(3):
        farm.set([miner], uptime_seconds=10)
        farm.run(1)
        farm.set([miner], uptime_seconds=310)
        farm.run(4)
    farm.well([miner])
    farm.run(10)
    assert open_alerts() == []
    assert MinerRestart.objects.count() == 0


def test_a_silenced_alert_is_raised_and_marked_until_the_silence_ends(farm):
    rule = only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    miner, other, *_ = farm.add_rack("A", "R1", 5)
    farm.run(1)
    window(farm, 10, rack="R1", rule=rule, is_maintenance=False)
    farm.set([miner], temperature_max=99.0)
    farm.run(2)
    assert Alert.objects.open().get().is_silenced
    farm.run(9)
    assert not Alert.objects.open().get().is_silenced
    farm.set([other], temperature_max=99.0)
    farm.run(1)
    assert not Alert.objects.get(miner=other).is_silenced


def test_a_racks_silence_does_not_hide_that_the_whole_site_is_away(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3)
    racks = [farm.add_rack(zone, "R1", 4) for zone in ("A", "B", "C")]
    farm.run(1)
    window(farm, 60, zone="A", rack="R1", is_maintenance=False)
    farm.offline(racks[0])
    farm.run(3)
    assert Alert.objects.open().get().is_silenced
    farm.offline([*racks[1], *racks[2]])
    farm.run(3)
    alert = Alert.objects.open().get()
    assert (alert.scope, alert.is_silenced) == (Alert.Scope.SITE, False)


def test_a_link_that_flaps_is_one_alert_that_stays_until_it_is_calm(farm):
    only_rule(RuleKind.MINER_OFFLINE, threshold=3, clear_minutes=2)
    miner, *_ = farm.add_rack("A", "R1", 5)
    farm.run(1)
    for _ in range(4):
        farm.offline([miner])
        farm.run(5)
        farm.well([miner])
        farm.run(5)
    alert = Alert.objects.get()
    assert (alert.state, alert.is_flapping, alert.details["times"]) == (Alert.State.OPEN, True, 3)
    assert event_kinds(alert) == ["opened", "resolved", "opened", "resolved", "opened", "flapping"]
    farm.run(30)
    alert.refresh_from_db()
    assert alert.state == Alert.State.RESOLVED


def test_what_comes_back_after_a_quiet_hour_is_a_new_alert(farm):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    miner, *_ = farm.add_rack("A", "R1", 3)
    farm.set([miner], temperature_max=99.0)
    farm.run(1)
    farm.well([miner])
    farm.run(62)
    farm.set([miner], temperature_max=99.0)
    farm.run(1)
    assert Alert.objects.count() == 2


def test_an_alert_closed_by_hand_comes_back_only_after_it_was_good(farm):
    only_rule(RuleKind.TEMPERATURE_HIGH, threshold=90)
    miner, *_ = farm.add_rack("A", "R1", 3)
    farm.set([miner], temperature_max=99.0)
    farm.run(1)
    lifecycle.resolve_by_hand(Alert.objects.get(), by=None, now=farm.now)
    farm.run(10)
    assert open_alerts() == []
    farm.well([miner])
    farm.run(2)
    farm.set([miner], temperature_max=99.0)
    farm.run(1)
    assert open_alerts() == ["temperature_high miner A-R1-01 ×1"]
