from __future__ import annotations

from datetime import timedelta

import pytest

from miners.models import Miner
from sites.models import Site
from telemetry import gaps
from telemetry.models import TelemetryGap
from telemetry.retention import prune
from telemetry.rollups import roll_up
from tests.telemetry.farm import an_upload, make_site, minute, reading, store

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    """A farm that a collector reads every minute."""
    return make_site(collection=Site.Collection.COLLECTOR)


def ledger(**which):
    """The gaps as (from minute, to minute, cause), oldest first."""
    rows = TelemetryGap.objects.filter(**which).order_by("started_at", "miner_id")
    return [(_minutes(row.started_at), row.ended_at and _minutes(row.ended_at), row.cause) for row in rows]


def _minutes(moment):
    return (moment - minute(0)) / timedelta(minutes=1)


def store_minutes(site, *numbers, miners=("m1",), at=None, **fields):
    for number in numbers:
        store(site, *[reading(name, minute(number), **fields) for name in miners], at=minute(at if at is not None else number))


def test_a_farm_that_reports_has_no_gaps(site):
    store_minutes(site, 0, 1, 2)
    gaps.update(minute(3))
    assert ledger() == []


def test_a_silent_collector_is_one_gap_of_the_site_and_none_of_its_miners(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    gaps.update(minute(10))
    assert ledger() == [(0, None, "collector_silent")]
    assert TelemetryGap.objects.get().miner is None


def test_a_gap_is_opened_once(site):
    store_minutes(site, 0)
    assert gaps.update(minute(10)).opened == 1
    assert gaps.update(minute(11)).opened == 0
    assert len(ledger()) == 1


def test_a_gap_ends_at_the_first_reading_after_it(site):
    store_minutes(site, 0)
    gaps.update(minute(10))
    store_minutes(site, 20, 21)
    gaps.update(minute(22))
    assert ledger() == [(0, 20, "collector_silent")]


def test_a_site_that_this_server_polls_is_silent_when_the_poller_is():
    store_minutes(make_site(collection=Site.Collection.SERVER), 0)
    gaps.update(minute(10))
    assert ledger() == [(0, None, "poller_stopped")]


def test_uploads_of_old_readings_only_say_that_the_spool_is_replaying(site):
    store_minutes(site, 0)
    store(site, reading(at=minute(0)), at=minute(9), upload=an_upload())
    gaps.update(minute(10))
    assert ledger() == [(0, None, "spool_replaying")]


def test_a_miner_that_falls_silent_alone_has_a_gap_of_its_own(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    store_minutes(site, 5, 10, miners=["m2"])
    gaps.update(minute(11))
    assert ledger(miner__miner_id="m1") == [(0, None, "unknown")]
    assert ledger(miner__miner_id="m2") == []
    store_minutes(site, 12, miners=["m1", "m2"])
    gaps.update(minute(12))
    assert ledger(miner__miner_id="m1") == [(0, 12, "unknown")]


def test_an_unreachable_miner_has_no_gap_while_its_collector_waits_to_try_again(site):
    store_minutes(site, 0, miners=["m1"], online=False)
    store_minutes(site, 5, miners=["m2"])
    gaps.update(minute(5))
    assert ledger() == []
    store_minutes(site, 9, miners=["m2"])
    gaps.update(minute(9))
    assert ledger() == [(0, None, "miner_offline")]


def test_late_readings_divide_a_gap_of_a_miner(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    store_minutes(site, 15, miners=["m2"])
    gaps.update(minute(15))
    store_minutes(site, 30, miners=["m1", "m2"])
    gaps.update(minute(30))
    store_minutes(site, 10, 11, 12, at=31)
    roll_up(minute(31))
    gaps.update(minute(31))
    assert ledger(miner__miner_id="m1") == [(0, 10, "unknown"), (12, 30, "unknown")]


def test_late_readings_that_fill_a_gap_remove_it(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    store_minutes(site, 15, miners=["m2"])
    gaps.update(minute(15))
    store_minutes(site, 20, miners=["m1", "m2"])
    gaps.update(minute(20))
    store_minutes(site, *range(2, 20, 2), at=21)
    roll_up(minute(21))
    gaps.update(minute(21))
    assert ledger(miner__miner_id="m1") == []


def test_a_spool_that_is_replayed_fills_the_gap_of_the_site(site):
    store_minutes(site, 0)
    gaps.update(minute(30))
    store_minutes(site, 30)
    gaps.update(minute(30))
    assert ledger() == [(0, 30, "collector_silent")]
    store_minutes(site, *range(5, 15), at=31)
    roll_up(minute(31))
    gaps.update(minute(31))
    assert ledger() == [(0, 5, "collector_silent"), (15, 30, "collector_silent")]


def test_a_replay_that_comes_before_anything_new_moves_the_open_gap_forward(site):
    store_minutes(site, 0)
    gaps.update(minute(30))
    store_minutes(site, 1, at=30)
    gaps.update(minute(31))
    assert ledger() == [(1, None, "collector_silent")]


def test_updating_twice_changes_nothing(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    store_minutes(site, 10, miners=["m2"])
    gaps.update(minute(11))
    before = ledger()
    gaps.update(minute(11))
    assert ledger() == before


def test_disabled_miners_and_inactive_sites_are_not_missed(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    store_minutes(site, 10, miners=["m2"])
    Miner.objects.filter(miner_id="m1").update(is_enabled=False)
    closed = make_site("closed", is_active=False)
    store_minutes(closed, 0)
    gaps.update(minute(11))
    assert ledger() == []


def test_the_gaps_of_a_miner_are_its_own_and_its_sites(site):
    store_minutes(site, 0, miners=["m1", "m2"])
    gaps.update(minute(10))
    store_minutes(site, 20, 25, miners=["m2"])
    gaps.update(minute(25))
    span = {"start": minute(0), "end": minute(60)}
    found = gaps.of_miner(Miner.objects.get(miner_id="m1"), **span)
    assert sorted((gap.miner is None, gap.ended_at is None) for gap in found) == [(False, True), (True, False)]
    assert [gap.miner for gap in gaps.of_site(site, **span)] == [None]


@pytest.mark.parametrize(("start", "end", "share"), [(0, 100, 0.8), (0, 20, 1.0), (20, 30, 0.0), (25, 75, 0.7), (90, 110, 0.5)])
def test_coverage_is_what_lies_outside_the_gaps(start, end, share):
    overlapping = [
        TelemetryGap(started_at=minute(20), ended_at=minute(35)),
        TelemetryGap(started_at=minute(25), ended_at=minute(40)),
        TelemetryGap(started_at=minute(100), ended_at=None),
    ]
    assert gaps.coverage(overlapping, start=minute(start), end=minute(end)) == pytest.approx(share)


@pytest.mark.django_db(transaction=True)
def test_old_gaps_are_pruned(site):
    store_minutes(site, 0)
    gaps.update(minute(10))
    store_minutes(site, 20)
    gaps.update(minute(20))
    prune(now=minute(20) + timedelta(days=11), rollup_1h_days=10, history_days=400)
    assert ledger() == []
