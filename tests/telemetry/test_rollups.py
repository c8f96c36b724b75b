from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from miners.models import Miner
from telemetry.models import (
    MinerRollup1d,
    MinerRollup1h,
    MinerRollup5m,
    MinerTelemetryHistory,
    RollupDue,
    SiteRollup1d,
    SiteRollup1h,
    SiteRollup5m,
)
from telemetry.rollups import roll_up
from tests.telemetry.farm import NOON, make_site, minute, reading, store, wait_until

pytestmark = pytest.mark.django_db


def rows(model):
    """Every column of every row of `model`, to compare two states of a table."""
    return list(model.objects.order_by("pk").values_list())


def test_a_bucket_holds_least_average_most_and_last_of_its_readings():
    store(make_site(), *[reading(at=minute(number), hashrate_ghs=value) for number, value in enumerate([10.0, 40.0, 20.0, 30.0, 25.0])])
    roll_up(minute(5))
    row = MinerRollup5m.objects.get()
    assert (row.bucket, row.samples, row.expected, row.online_samples) == (NOON, 5, 5, 5)
    assert (row.hashrate_ghs_min, row.hashrate_ghs_avg, row.hashrate_ghs_max, row.hashrate_ghs_last) == (10.0, 25.0, 40.0, 25.0)


def test_an_hour_weighs_its_buckets_by_their_readings():
    site = make_site()
    store(site, reading(at=minute(0), hashrate_ghs=10.0))
    store(site, *[reading(at=minute(number), hashrate_ghs=40.0) for number in (5, 6)])
    roll_up(minute(60))
    row = MinerRollup1h.objects.get()
    assert (row.bucket, row.samples, row.expected) == (NOON, 3, 60)
    assert (row.hashrate_ghs_min, row.hashrate_ghs_avg, row.hashrate_ghs_max, row.hashrate_ghs_last) == (10.0, 30.0, 40.0, 40.0)


def test_a_day_follows_from_its_hours():
    site = make_site()
    store(site, reading(at=minute(0), hashrate_ghs=10.0), reading(at=minute(180), hashrate_ghs=30.0))
    roll_up(minute(24 * 60))
    row = MinerRollup1d.objects.get()
    assert (row.bucket, row.samples, row.expected) == (NOON - timedelta(hours=12), 2, 1440)
    assert (row.hashrate_ghs_min, row.hashrate_ghs_avg, row.hashrate_ghs_max, row.hashrate_ghs_last) == (10.0, 20.0, 30.0, 30.0)


def test_a_site_adds_up_hash_rate_and_power_and_shows_the_hottest():
    store(
        make_site(),
        reading("a", hashrate_ghs=10.0, power_consumption=1000.0, temperature_max=60.0, hashrate_expected_ghs=12.0),
        reading("b", hashrate_ghs=30.0, power_consumption=3000.0, temperature_max=80.0, hashrate_expected_ghs=32.0),
    )
    roll_up(minute(5))
    row = SiteRollup5m.objects.get()
    assert (row.hashrate_ghs_avg, row.power_consumption_avg, row.hashrate_expected_ghs_avg) == (40.0, 4000.0, 44.0)
    assert (row.temperature_max_max, row.temperature_max_avg) == (80.0, 70.0)
    assert (row.miners, row.miners_online, row.samples, row.expected) == (2, 2, 2, 10)


def test_a_silent_miner_is_missing_from_what_its_site_owes():
    site = make_site()
    Miner.objects.create(site=site, miner_id="silent")
    store(site, *[reading(at=minute(number)) for number in range(5)])
    roll_up(minute(5))
    row = SiteRollup5m.objects.get()
    assert (row.samples, row.expected) == (5, 10)


def test_a_miner_that_reports_often_does_not_make_up_for_a_silent_one():
    site = make_site()
    Miner.objects.create(site=site, miner_id="silent")
    store(site, *[reading(at=minute(number / 2)) for number in range(10)])
    roll_up(minute(5))
    row = SiteRollup5m.objects.get()
    assert (row.samples, row.expected) == (10, 15)


def test_a_disabled_miner_is_not_counted():
    site = make_site()
    Miner.objects.create(site=site, miner_id="off", is_enabled=False)
    store(site, reading("off", hashrate_ghs=1.0), reading("on", hashrate_ghs=2.0))
    roll_up(minute(5))
    assert SiteRollup5m.objects.get().hashrate_ghs_avg == 2.0


def test_an_offline_miner_has_readings_and_no_values():
    store(make_site(), *[reading(at=minute(number), online=False) for number in range(5)])
    roll_up(minute(5))
    row = MinerRollup5m.objects.get()
    assert (row.samples, row.online_samples, row.hashrate_ghs_avg) == (5, 0, None)
    assert SiteRollup5m.objects.get().hashrate_ghs_avg is None


def test_a_miner_that_reports_zero_is_told_from_one_that_is_off():
    store(make_site(), *[reading(at=minute(number), hashrate_ghs=0.0) for number in range(5)])
    roll_up(minute(5))
    row = MinerRollup5m.objects.get()
    assert (row.online_samples, row.hashrate_ghs_avg) == (5, 0.0)


def test_an_open_bucket_owes_only_what_has_passed_and_all_of_it_once_closed():
    store(make_site(), reading(at=minute(0)), reading(at=minute(1)))
    roll_up(minute(2))
    assert MinerRollup5m.objects.get().expected == 2
    roll_up(minute(10))
    assert MinerRollup5m.objects.get().expected == 5


def test_late_data_corrects_every_resolution():
    site = make_site()
    store(site, reading(at=minute(0), hashrate_ghs=10.0))
    roll_up(minute(24 * 60))
    store(site, reading(at=minute(1), hashrate_ghs=30.0), at=minute(24 * 60))
    roll_up(minute(24 * 60))
    for model in (MinerRollup5m, MinerRollup1h, MinerRollup1d, SiteRollup5m, SiteRollup1h, SiteRollup1d):
        row = model.objects.get()
        assert (row.samples, row.hashrate_ghs_avg, row.hashrate_ghs_last) == (2, 20.0, 30.0), model.__name__


def test_rolling_up_twice_changes_nothing():
    store(make_site(), *[reading(at=minute(number), hashrate_ghs=float(number)) for number in range(90)])
    roll_up(minute(100))
    models = (MinerRollup5m, MinerRollup1h, MinerRollup1d, SiteRollup5m, SiteRollup1h, SiteRollup1d)
    before = [rows(model) for model in models]
    roll_up(minute(100))
    assert [rows(model) for model in models] == before


def test_buckets_in_small_steps_equal_buckets_after_a_long_downtime():
    steps, at_once = make_site("steps"), make_site("at-once")
    for number in range(90):
        store(steps, reading("m", minute(number), hashrate_ghs=number * 1.5))
        roll_up(minute(number))
    for number in range(90):
        store(at_once, reading("m", minute(number), hashrate_ghs=number * 1.5))
    roll_up(minute(24 * 60))
    for model in (SiteRollup5m, SiteRollup1h, SiteRollup1d):
        both = [list(model.objects.filter(site=site).order_by("bucket").values_list(*_values(model))) for site in (steps, at_once)]
        assert both[0] == both[1], model.__name__


def _values(model):
    return [field.name for field in model._meta.local_concrete_fields if field.name not in {"site", "miner"}]


def test_a_duplicate_upload_leaves_nothing_to_do():
    site = make_site()
    store(site, reading())
    roll_up(minute(24 * 60))
    store(site, reading())
    assert not RollupDue.objects.exists()


def test_nothing_is_left_due_once_all_is_closed():
    store(make_site(), *[reading(at=minute(number)) for number in range(120)])
    roll_up(minute(3 * 24 * 60))
    assert not RollupDue.objects.exists()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_readings_that_are_committed_while_their_bucket_is_rolled_up_leave_it_due():
    site = make_site()
    store(site, reading(at=minute(0)))
    written = threading.Event()

    def upload():
        with transaction.atomic():
            store(site, reading(at=minute(1)))
            written.set()
            wait_until(rolling_up_waits)  # for the note that this transaction holds
        connection.close()

    def roll_up_beside_it():
        written.wait(10)
        roll_up(minute(10))
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(roll_up_beside_it), pool.submit(upload)]:
            each.result(timeout=60)
    assert RollupDue.objects.filter(resolution="5m").exists()
    roll_up(minute(10))
    assert MinerRollup5m.objects.get().samples == 2


def rolling_up_waits():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM %rollup_due%'")
        return cursor.fetchone() is not None


def test_a_roll_up_survives_the_readings_it_came_from():
    site = make_site()
    store(site, *[reading(at=minute(number)) for number in range(5)])
    roll_up(minute(10))
    MinerTelemetryHistory.objects.filter(timestamp__lt=minute(3)).delete()
    store(site, reading(at=minute(0.5)), at=minute(10))
    roll_up(minute(11))
    assert MinerRollup5m.objects.get().samples == 5


def test_work_beyond_the_budget_is_left_for_the_next_run():
    store(make_site(), reading(at=minute(0)), reading(at=minute(5)))
    report = roll_up(minute(10), budget_s=-1)
    assert (report.buckets, report.left) == (0, 2)
    roll_up(minute(10))
    assert MinerRollup5m.objects.count() == 2


def test_two_sites_do_not_mix():
    store(make_site("north"), reading(hashrate_ghs=1.0))
    store(make_site("south"), reading(hashrate_ghs=2.0))
    roll_up(minute(5))
    assert sorted(SiteRollup5m.objects.values_list("site__code", "hashrate_ghs_avg")) == [("north", 1.0), ("south", 2.0)]


def test_the_site_interval_says_how_many_readings_are_expected():
    store(make_site(interval_seconds=30), reading())
    roll_up(minute(5))
    assert MinerRollup5m.objects.get().expected == 10
