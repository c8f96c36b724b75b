"""Kinds that look at a site or at this server."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import timedelta

import pytest
from django.conf import settings

from alerts.evaluation import evaluate
from alerts.models import Alert, RuleKind
from commands.models import CommandType
from resilience.models import JobLease
from sites.models import Collector
from telemetry import partitions
from telemetry.rollups import roll_up
from tests.alerts.farm import Farm, make_rule, only_rule, open_alerts
from tests.makers import NOON, make_command, make_miner_model, make_site, make_upload_log

pytestmark = pytest.mark.django_db


@pytest.fixture
def farm() -> Farm:
    return Farm(collector=True)


def run(farm: Farm, minutes: int) -> None:
    """As the minutes of a real server go: readings, roll-ups, alerts."""
    for _ in range(minutes):
        farm.now += timedelta(minutes=1)
        farm.report()
        roll_up(farm.now)
        assert evaluate(farm.now).failed == {}


def test_a_collector_of_a_zone_that_falls_silent_is_its_own_alert_and_its_miners_are_not_judged(farm):
    only_rule(RuleKind.COLLECTOR_SILENT, threshold=3)
    make_rule(RuleKind.MINER_OFFLINE, threshold=3)
    quiet, _ = farm.add_rack("A", "R1", 4), farm.add_rack("B", "R1", 4)
    for zone in "AB":
        Collector.objects.create(site=farm.site, zone_id=zone, device_id="pi", heartbeat_at=NOON, interval_seconds=60)
    for _ in range(3):
        Collector.objects.update(heartbeat_at=farm.now)
        farm.run(1)
    farm.quiet(quiet)
    for _ in range(20):
        Collector.objects.filter(zone_id="B").update(heartbeat_at=farm.now)
        farm.run(1)
    assert open_alerts() == ["collector_silent site collector A / pi ×0"]
    Collector.objects.update(heartbeat_at=farm.now)
    farm.well(quiet)
    farm.run(1)
    assert open_alerts() == []


def test_a_site_whose_collector_never_sent_anything_is_not_silent(farm):
    only_rule(RuleKind.COLLECTOR_SILENT, threshold=3)
    assert evaluate(NOON).failed == {}
    assert open_alerts() == []


def test_refused_uploads_prove_that_a_collector_lives(farm):
    only_rule(RuleKind.COLLECTOR_SILENT, threshold=3)
    farm.add("m1")
    farm.run(1)
    farm.is_silent = True
    for _ in range(10):
        make_upload_log(farm.site, upload_time=farm.now, status="refused")
        farm.run(1)
    assert open_alerts() == []


def test_a_poller_without_a_good_round_is_stopped():
    farm = Farm()
    only_rule(RuleKind.POLLER_STOPPED, threshold=3)
    make_rule(RuleKind.MINER_OFFLINE, threshold=3)
    farm.add_rack("A", "R1", 4)
    for _ in range(3):
        JobLease.objects.update_or_create(name=f"poll:{farm.site.code}", defaults={"succeeded_at": farm.now})
        farm.run(1)
    farm.is_silent = True
    farm.run(10)
    assert open_alerts() == ["poller_stopped site ×0"]
    assert Alert.objects.get().value >= 10


def test_a_job_that_does_not_end_well_any_more_is_a_stopped_scheduler():
    only_rule(RuleKind.SCHEDULER_STOPPED, threshold=10)
    JobLease.objects.create(name="roll_up", succeeded_at=NOON - timedelta(minutes=12), error="OperationalError: disk full")
    JobLease.objects.create(name="gaps", succeeded_at=NOON)
    JobLease.objects.create(name="prune", succeeded_at=NOON - timedelta(hours=20))
    evaluate(NOON)
    assert open_alerts() == ["scheduler_stopped system roll_up ×0"]
    assert Alert.objects.get().details["note"] == "OperationalError: disk full"
    JobLease.objects.update(succeeded_at=NOON)
    evaluate(NOON + timedelta(minutes=1))
    assert open_alerts() == []


def test_readings_that_are_missing_lower_the_coverage(farm):
    only_rule(RuleKind.COVERAGE_LOW, threshold=80, clear_margin=5)
    farm.add_rack("A", "R1", 6)
    half = farm.add_rack("A", "R2", 6)
    run(farm, 15)
    assert open_alerts() == []
    for minute in range(45):
        (farm.well if minute % 3 == 0 else farm.quiet)(half)
        run(farm, 1)
    assert open_alerts() == ["coverage_low site ×0"]
    assert 60 < Alert.objects.get().value < 80


def test_miners_that_are_offline_do_not_lower_the_coverage(farm):
    only_rule(RuleKind.COVERAGE_LOW, threshold=80)
    make_rule(RuleKind.MINER_OFFLINE, threshold=3)
    farm.add_rack("A", "R1", 6)
    rack = farm.add_rack("A", "R2", 6)
    run(farm, 5)
    farm.quiet(rack)
    run(farm, 60)
    assert open_alerts() == ["miner_offline rack A/R2 ×6"]


def test_a_site_that_loses_hash_rate_at_once_is_raised_and_gets_used_to_it(farm):
    only_rule(RuleKind.SITE_HASHRATE_STEP, threshold=15, clear_margin=5)
    make_rule(RuleKind.HASHRATE_LOW, threshold=70)
    miners = farm.add_rack("A", "R1", 10)
    run(farm, 32)
    farm.set(miners, hashrate_ghs=71_000.0)
    run(farm, 12)
    assert open_alerts() == ["site_hashrate_step site ×0"]
    assert Alert.objects.get().value == pytest.approx(25.1, abs=0.1)
    run(farm, 40)
    assert open_alerts() == []


def test_a_rack_that_is_offline_explains_the_fall_of_its_site(farm):
    only_rule(RuleKind.SITE_HASHRATE_STEP, threshold=15)
    make_rule(RuleKind.SITE_POWER_STEP, threshold=20)
    make_rule(RuleKind.MINER_OFFLINE, threshold=3)
    model = make_miner_model(power_consumption=3_250.0)
    farm.add_rack("A", "R1", 6, model=model)
    rack = farm.add_rack("A", "R2", 4, model=model)
    run(farm, 32)
    farm.offline(rack)
    run(farm, 25)
    assert open_alerts() == ["miner_offline rack A/R2 ×4"]
    farm.well(rack)
    run(farm, 25)
    assert open_alerts() == []
    assert Alert.objects.count() == 1


def test_power_that_jumps_is_raised_unless_it_was_ordered(farm):
    only_rule(RuleKind.SITE_POWER_STEP, threshold=20)
    miners = farm.add_rack("A", "R1", 5, model=make_miner_model(power_consumption=3_250.0))
    ordered = Farm(collector=True)
    told = ordered.add_rack("A", "R1", 5, model=make_miner_model(power_consumption=3_250.0))
    for minute in range(45):
        if minute == 33:
            farm.set(miners[:3], power_consumption=200.0)
            ordered.set(told[:3], power_consumption=200.0, mining_state="sleeping", hashrate_ghs=0.0)
            for miner in told[:3]:
                make_command(miner, CommandType.DISABLE, sent_at=farm.now)
        ordered.now = farm.now + timedelta(minutes=1)
        ordered.report()
        run(farm, 1)
    assert open_alerts() == ["site_power_step site ×0"]
    assert Alert.objects.get().site == farm.site


def test_a_collectors_clock_is_wrong_by_its_heartbeat_or_by_what_ingest_says(farm):
    only_rule(RuleKind.CLOCK_SKEW, threshold=60, clear_margin=30)
    late = Farm(collector=True)
    right = make_site(collection="collector")
    make_upload_log(right, upload_time=NOON, processed=1, newest_reading_at=NOON - timedelta(seconds=20))
    reason = "timestamp is 7200 s ahead of the server's clock; stored at the time of receipt: set the collector's clock"
    make_upload_log(farm.site, upload_time=NOON, processed=1, error_count=1, errors=[{"index": 0, "field": "timestamp", "reason": reason}])
    Collector.objects.create(site=late.site, device_id="pi", heartbeat_at=NOON, clock_offset_ms=-90_000.0)
    evaluate(NOON + timedelta(minutes=1))
    assert dict(Alert.objects.values_list("site", "value")) == {farm.site.pk: 7_200, late.site.pk: 90}
    Collector.objects.update(heartbeat_at=NOON + timedelta(minutes=20), clock_offset_ms=40.0)
    make_upload_log(farm.site, upload_time=NOON + timedelta(minutes=20), processed=1, newest_reading_at=NOON + timedelta(minutes=20))
    evaluate(NOON + timedelta(minutes=21))
    assert open_alerts() == []


def test_a_disk_that_fills_up_is_raised_before_it_is_full(monkeypatch):
    only_rule(RuleKind.DISK_LOW, threshold=10, clear_margin=2)
    usage = namedtuple("usage", "total used free")
    for free, expected in ((9, ["disk_low system data ×0"]), (11, ["disk_low system data ×0"]), (13, [])):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, free=free: usage(100, 100 - free, free) if path == settings.DATA_DIR else None
        )
        evaluate(NOON)
        assert open_alerts() == expected


@pytest.mark.postgresql
def test_partitions_that_run_out_are_raised_days_ahead():
    only_rule(RuleKind.PARTITIONS_LOW, threshold=2)
    partitions.ensure(NOON)
    evaluate(NOON)
    assert open_alerts() == []
    evaluate(NOON + timedelta(days=6))
    assert open_alerts() == [f"partitions_low system {table} ×0" for table in sorted(partitions.PARTITIONED, reverse=False)]
    assert set(Alert.objects.values_list("value", flat=True)) == {1}


def test_a_breaker_that_opened_is_raised(settings):
    from market import quotes

    settings.MARKET_DATA = True
    only_rule(RuleKind.BREAKER_OPEN)
    name = next(iter(quotes.breakers()))
    breaker = quotes._breaker(name.replace(":", " "))
    breaker.open()
    evaluate(NOON)
    assert open_alerts() == [f"breaker_open system {name} ×0"]
    breaker.close()
    evaluate(NOON + timedelta(minutes=1))
    assert open_alerts() == []


def test_a_site_in_maintenance_is_not_judged_as_a_whole_either(farm):
    from alerts.models import Silence

    only_rule(RuleKind.COLLECTOR_SILENT, threshold=3)
    farm.add("m1")
    farm.run(1)
    farm.is_silent = True
    Silence.objects.create(
        site=farm.site, is_maintenance=True, starts_at=farm.now, ends_at=farm.now + timedelta(hours=1), reason="new uplink"
    )
    farm.run(20)
    assert open_alerts() == []
