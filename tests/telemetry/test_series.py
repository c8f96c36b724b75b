from __future__ import annotations

from datetime import timedelta

import pytest

from miners.models import Miner, MinerModel
from sites.models import Site
from telemetry.models import MinerTelemetryLive, SiteSummary
from telemetry.rollups import roll_up
from telemetry.series import farm_series, miner_series, site_series, site_statistics
from tests.telemetry.farm import NOON, make_site, minute, reading, store

pytestmark = pytest.mark.django_db


def miner(miner_id="m1"):
    return Miner.objects.select_related("site").get(miner_id=miner_id)


def statistics(site, now=NOON):
    return site_statistics([site], now=now)[site.pk]


@pytest.mark.parametrize(
    ("span", "step"),
    [
        (timedelta(hours=1), timedelta(minutes=1)),
        (timedelta(hours=24), timedelta(minutes=5)),
        (timedelta(days=7), timedelta(hours=1)),
        (timedelta(days=365), timedelta(days=1)),
    ],
)
def test_the_resolution_suits_the_span(span, step):
    store(make_site(), reading())
    assert miner_series(miner(), start=NOON - span, end=NOON).step == step


def test_a_day_of_a_miner_is_drawn_from_its_roll_ups():
    store(make_site(), *[reading(at=minute(number), hashrate_ghs=float(number)) for number in range(10)])
    roll_up(minute(10))
    series = miner_series(miner(), start=NOON, end=NOON + timedelta(hours=24))
    assert [(point.timestamp, point.hashrate_ghs, point.hashrate_ghs_max) for point in series.points] == [
        (NOON, 2.0, 4.0),
        (minute(5), 7.0, 9.0),
    ]


def test_a_short_span_of_a_miner_shows_every_reading():
    store(make_site(), *[reading(at=minute(number) + timedelta(seconds=7), hashrate_ghs=float(number)) for number in range(3)])
    series = miner_series(miner(), start=NOON, end=minute(60))
    assert [(point.timestamp, point.hashrate_ghs) for point in series.points] == [(minute(0), 0.0), (minute(1), 1.0), (minute(2), 2.0)]


def test_the_fans_of_a_miner_are_drawn_by_their_average():
    fans = [[4000, 4200], [], [0, 6000]]
    store(make_site(), *[reading(at=minute(number), fan_speeds=speeds) for number, speeds in enumerate(fans)])
    assert [point.fan_speed_avg for point in miner_series(miner(), start=NOON, end=minute(60)).points] == [4100.0, None, 3000.0]
    roll_up(minute(5))
    assert [point.fan_speed_avg for point in miner_series(miner(), start=NOON, end=NOON + timedelta(hours=24)).points] == [3550.0]


def test_fans_of_a_miner_that_was_not_reached_are_unknown():
    store(make_site(), reading(online=False, fan_speeds=[4000, 4200]))
    assert [point.fan_speed_avg for point in miner_series(miner(), start=NOON, end=minute(60)).points] == [None]


def test_a_site_is_the_sum_of_its_miners_and_a_farm_of_its_sites():
    north, south = make_site("north"), make_site("south")
    store(north, reading("a", hashrate_ghs=1.0), reading("b", hashrate_ghs=2.0))
    store(south, reading("c", hashrate_ghs=4.0))
    roll_up(minute(5))
    span = {"start": NOON, "end": NOON + timedelta(hours=24)}
    assert [point.hashrate_ghs for point in site_series(north, **span).points] == [3.0]
    assert [point.hashrate_ghs for point in farm_series(Site.objects.all(), **span).points] == [7.0]


def test_off_zero_and_no_data_are_told_apart():
    site = make_site()
    store(site, reading(at=minute(0), online=False), reading(at=minute(5), hashrate_ghs=0.0))
    roll_up(minute(15))
    off, zero = miner_series(miner(), start=NOON, end=NOON + timedelta(hours=24)).points
    assert (off.hashrate_ghs, off.samples, off.online_samples) == (None, 1, 0)
    assert (zero.hashrate_ghs, zero.samples, zero.online_samples) == (0.0, 1, 1)


def test_coverage_counts_what_is_missing_in_buckets_and_between_them():
    store(make_site(), *[reading(at=minute(number)) for number in (0, 1, 2, 3, 4, 10)])
    roll_up(minute(180))
    series = miner_series(miner(), start=NOON, end=minute(180))
    assert [point.coverage for point in series.points] == [1.0, 0.2]
    assert series.coverage == pytest.approx(6 / 180)


def test_a_span_without_readings_has_no_points_and_no_coverage():
    store(make_site(), reading())
    series = miner_series(miner(), start=minute(-1440), end=minute(-100))
    assert (series.points, series.coverage) == ([], 0.0)


def test_a_series_is_one_query(django_assert_num_queries):
    site = make_site()
    store(site, reading())
    roll_up(minute(5))
    with django_assert_num_queries(1):
        site_series(site, start=NOON - timedelta(hours=24), end=NOON)


def test_statistics_count_miners_by_what_people_see():
    site = make_site(interval_seconds=60)
    Miner.objects.create(site=site, miner_id="never")
    Miner.objects.create(site=site, miner_id="switched-off", is_enabled=False)
    store(site, reading("silent", minute(-4)), reading("old-offline", minute(-60), online=False), at=minute(-4))
    store(
        site,
        reading("on", hashrate_ghs=90.0, power_consumption=3000.0, hashrate_expected_ghs=100.0),
        reading("off", online=False),
        reading("asleep", hashrate_ghs=0.0, mining_state="sleeping"),
    )
    found = statistics(site)
    assert (found.miners, found.online, found.sleeping, found.offline, found.stale, found.never) == (6, 1, 1, 2, 1, 1)
    assert (found.hashrate_ghs, found.power_consumption, found.hashrate_expected_ghs, found.newest_reading_at) == (
        90.0,
        3000.0,
        100.0,
        NOON,
    )


def test_the_nameplate_stands_in_for_an_expected_hash_rate_nobody_reports():
    site = make_site()
    model = MinerModel.objects.create(
        maker="Bitmain",
        name="S19",
        slug="s19",
        hashrate_ghs=95_000,
        power_consumption=3250,
        efficiency=34,
        boards=3,
        fans=4,
        source="sheet",
    )
    Miner.objects.create(site=site, miner_id="m1", model=model)
    store(site, reading())
    assert statistics(site).hashrate_expected_ghs == 95_000


def test_the_nameplate_stands_in_for_power_nobody_reports():
    site = make_site()
    model = MinerModel.objects.create(
        maker="Bitmain",
        name="T-1",
        slug="t-1",
        hashrate_ghs=90_000.0,
        power_consumption=3_000.0,
        efficiency=33.3,
        boards=3,
        fans=4,
        source="test",
    )
    Miner.objects.create(site=site, miner_id="mute", model=model)
    store(site, reading("mute"), reading("told", power_consumption=2_500.0), reading("unknown"))
    statistics = site_statistics([site], now=minute(1))[site.pk]
    assert (statistics.power_consumption, statistics.power_nameplate, statistics.powered_hashrate_ghs) == (2_500.0, 3_000.0, 200_000.0)


def test_a_site_nobody_hears_of_does_not_stay_healthy():
    site = make_site()
    store(site, reading())
    assert statistics(site, minute(1)).online == 1
    assert (statistics(site, minute(30)).online, statistics(site, minute(30)).stale) == (0, 1)


def test_statistics_of_many_sites_are_one_query(django_assert_num_queries):
    sites = [make_site(f"s{number}") for number in range(20)]
    for site in sites:
        store(site, reading())
    with django_assert_num_queries(1):
        found = site_statistics(sites, now=NOON)
    assert [found[site.pk].online for site in sites] == [1] * 20


def test_the_summary_follows_each_upload_of_a_small_site():
    site = make_site()
    store(site, reading("a", hashrate_ghs=1.0))
    store(site, reading("b", minute(1), hashrate_ghs=2.0))
    assert SiteSummary.objects.get(site=site).hashrate_ghs == 3.0


def test_the_last_upload_of_a_burst_shows_before_the_next_minute():
    site = make_site()
    store(site, reading("a", hashrate_ghs=1.0))
    SiteSummary.objects.update(computed_at=NOON, cost_ms=10.0)
    store(site, reading("b", hashrate_ghs=2.0), at=NOON + timedelta(milliseconds=499))
    assert statistics(site, now=NOON + timedelta(milliseconds=499)).hashrate_ghs == 1.0
    assert statistics(site, now=NOON + timedelta(seconds=1)).hashrate_ghs == 3.0


def test_rolling_up_lets_silence_show_in_the_summary():
    site = make_site()
    store(site, reading())
    roll_up(minute(10))
    assert SiteSummary.objects.get(site=site).stale == 1


def test_stale_miners_are_those_that_were_well_and_fell_silent():
    site = make_site(interval_seconds=60)
    store(site, reading("silent", minute(-4)), reading("offline", minute(-4), online=False), reading("fresh", minute(-2)))
    slow = make_site("slow", interval_seconds=600)
    store(slow, reading("slow", minute(-20)))
    assert [row.miner.miner_id for row in MinerTelemetryLive.objects.stale(NOON)] == ["silent"]


def test_the_list_of_live_miners_of_a_site_is_one_query(django_assert_num_queries):
    site = make_site()
    Miner.objects.create(site=site, miner_id="off", is_enabled=False)
    store(site, reading("off"), *[reading(f"m{number}") for number in range(5)])
    with django_assert_num_queries(1):
        listed = [row.miner.miner_id for row in MinerTelemetryLive.objects.of_site(site)]
    assert sorted(listed) == ["m0", "m1", "m2", "m3", "m4"]
