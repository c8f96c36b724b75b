from __future__ import annotations

import json
from datetime import timedelta

import pytest

from miners.models import Miner
from telemetry.models import CollectorUploadLog, MinerTelemetryDetail, MinerTelemetryHistory, MinerTelemetryLive
from telemetry.readings import Board, Pool, Reading, RecordError
from tests.telemetry.farm import NOON, an_upload, full_reading, make_site, minute, reading, store

pytestmark = pytest.mark.django_db


def live(miner_id: str = "m1") -> MinerTelemetryLive:
    return MinerTelemetryLive.objects.get(miner__miner_id=miner_id)


def history(miner_id: str = "m1") -> list[MinerTelemetryHistory]:
    miner = Miner.objects.get(miner_id=miner_id)
    return list(MinerTelemetryHistory.objects.filter(miner_id=miner.pk).order_by("timestamp"))


def test_every_reported_field_is_stored_as_it_was_reported():
    said = full_reading()
    store(make_site(), said)
    row = live()
    measured = ("hashrate_ghs", "hashrate_5s_ghs", "hashrate_expected_ghs", "temperature_avg", "temperature_min", "temperature_max")
    measured += ("frequency_avg", "accepted_shares", "rejected_shares", "hardware_errors", "uptime_seconds", "power_consumption")
    measured += ("pool_latency_ms", "latency_ms")
    for name in measured:
        assert getattr(row, name) == getattr(said, name), name
        assert getattr(history()[0], name) == getattr(said, name), name
    for name in ("pool_url", "worker_name", "model", "firmware_version"):
        assert getattr(row, name) == getattr(said, name), name
    assert (row.timestamp, row.received_at, row.last_online_at, row.source) == (NOON, NOON, NOON, "collector")


def test_lists_are_stored_beside_the_live_row_in_the_shape_of_the_wire():
    store(make_site(), full_reading(pools=[Pool(url="stratum+tcp://a:3333", active=True)], error_codes=["329"]))
    row = MinerTelemetryDetail.objects.get(miner__miner_id="m1")
    assert json.loads(row.boards)[0] == {"id": 0, "hashrate": 32470.0, "temp": 70.0, "chips_ok": 76, "chips_total": 76}
    assert json.loads(row.temperature_chips) == [61.0, 74.0, 68.5]
    assert json.loads(row.fan_speeds) == [4200, 4260, 4190, 4230]
    assert json.loads(row.pools)[0]["url"] == "stratum+tcp://a:3333"
    assert json.loads(row.error_codes) == ["329"]


def test_the_same_batch_twice_is_stored_once_and_counted_as_duplicates():
    site = make_site()
    batch = [reading("m1", minute(0)), reading("m2", minute(0))]
    first, second = store(site, *batch), store(site, *batch)
    assert (first.processed, first.duplicates, first.inserted, first.updated) == (2, 0, 2, 0)
    assert (second.processed, second.duplicates, second.inserted, second.updated) == (2, 2, 0, 2)
    assert MinerTelemetryHistory.objects.count() == 2


def test_a_reading_that_was_stored_keeps_its_first_content():
    site = make_site()
    store(site, reading(hashrate_ghs=10.0))
    store(site, reading(hashrate_ghs=20.0))
    assert [row.hashrate_ghs for row in history()] == [10.0]
    assert live().hashrate_ghs == 10.0


def test_a_reading_that_history_has_is_a_duplicate_even_where_the_live_row_is_behind():
    site = make_site()
    store(site, reading("m1", minute(1), hashrate_ghs=10.0), reading("m2", minute(1)))
    MinerTelemetryLive.objects.update(timestamp=minute(0))
    report = store(site, reading("m1", minute(1), hashrate_ghs=20.0), reading("m2", minute(2)))
    assert (report.processed, report.duplicates, report.updated) == (2, 1, 2)
    assert [row.hashrate_ghs for row in history()] == [10.0]


@pytest.mark.parametrize("value", [0.1, 16_777_217.0, 1e-300])
def test_a_value_is_stored_the_same_whether_all_readings_of_a_batch_have_it_or_only_some(value):
    store(make_site(), reading("a", latency_ms=value), reading("b", latency_ms=value))
    store(make_site("other"), reading("c", latency_ms=value), reading("d", latency_ms=7.0))
    assert live("a").latency_ms == live("c").latency_ms


def test_a_name_with_an_unusual_character_is_found_again():
    site = make_site()
    names = ("m\x1f1", "m2")
    store(site, *[reading(name) for name in names])
    assert store(site, *[reading(name, minute(1)) for name in names]).updated == 2


def test_of_two_records_with_the_same_miner_and_time_in_one_batch_the_last_wins():
    report = store(make_site(), reading(hashrate_ghs=10.0), reading(hashrate_ghs=20.0))
    assert [row.hashrate_ghs for row in history()] == [20.0]
    assert (report.processed, report.duplicates) == (2, 1)


def test_late_reading_does_not_replace_a_newer_one():
    site = make_site()
    store(site, reading(at=minute(5), hashrate_ghs=50.0))
    store(site, reading(at=minute(1), hashrate_ghs=10.0), at=minute(6))
    assert live().hashrate_ghs == 50.0
    assert [row.hashrate_ghs for row in history()] == [10.0, 50.0]


def test_several_readings_of_a_miner_in_any_order_leave_the_newest_live():
    store(make_site(), *[reading(at=minute(number), hashrate_ghs=float(number)) for number in (3, 1, 4, 2)])
    assert live().hashrate_ghs == 4.0
    assert [row.hashrate_ghs for row in history()] == [1.0, 2.0, 3.0, 4.0]


def test_counters_beyond_32_bits_fit():
    store(make_site(), reading(accepted_shares=2**40, uptime_seconds=2**33))
    assert (live().accepted_shares, history()[0].uptime_seconds) == (2**40, 2**33)


def test_a_counter_no_column_can_hold_is_unknown_and_costs_nothing_else():
    store(make_site(), reading(accepted_shares=2**70, rejected_shares=3))
    assert (live().accepted_shares, live().rejected_shares) == (None, 3)


def test_facts_that_are_not_reported_stay_known():
    site = make_site()
    store(site, full_reading(pools=[Pool(url="stratum+tcp://a:3333")]))
    store(site, reading(at=minute(1), pool_url="", worker_name="", firmware_version=None))
    row = live()
    assert (row.pool_url, row.worker_name, row.firmware_version) == ("stratum+tcp://pool.example:3333", "farm.m1", "2023.07")
    assert (row.model, row.hashrate_expected_ghs, row.boards_total) == ("Antminer S19", 100_000.0, 3)
    assert json.loads(MinerTelemetryDetail.objects.get().pools)[0]["url"] == "stratum+tcp://a:3333"


def test_a_measurement_that_is_not_reported_is_not_shown_as_current():
    site = make_site()
    store(site, full_reading())
    store(site, reading(at=minute(1)))
    assert (live().temperature_max, live().power_consumption) == (None, None)


def test_an_offline_reading_shows_no_old_hash_rate_and_keeps_who_the_miner_is():
    site = make_site()
    store(site, full_reading())
    store(
        site, Reading(miner_id="m1", timestamp=minute(1), online=False, hashrate_ghs=0.0, error_type="timeout", error_message="no answer")
    )
    row = live()
    assert (row.online, row.overall_health, row.hashrate_ghs, row.accepted_shares) == (False, "offline", None, None)
    assert (row.model, row.error_type, row.error_message, row.last_online_at) == ("Antminer S19", "timeout", "no answer", NOON)
    assert history()[1].hashrate_ghs is None


def test_an_offline_reading_keeps_the_lists_and_the_time_they_were_read():
    site = make_site()
    store(site, full_reading())
    store(site, reading(at=minute(1), online=False))
    row = MinerTelemetryDetail.objects.get()
    assert (row.timestamp, len(json.loads(row.boards))) == (NOON, 3)


def test_a_batch_that_ends_offline_leaves_what_its_online_readings_told():
    store(make_site(), full_reading(at=minute(0)), reading(at=minute(1), online=False))
    assert (live().online, live().model, live().last_online_at) == (False, "Antminer S19", NOON)
    assert len(json.loads(MinerTelemetryDetail.objects.get().boards)) == 3


def test_an_error_goes_away_with_the_next_good_reading():
    site = make_site()
    store(site, reading(online=False, error_type="timeout"))
    store(site, reading(at=minute(1)))
    assert (live().online, live().error_type) == (True, None)


def test_no_power_beside_a_hash_rate_is_unknown():
    store(make_site(), reading("hashing", power_consumption=0.0), reading("asleep", power_consumption=0.0, hashrate_ghs=0.0))
    assert (live("hashing").power_consumption, live("asleep").power_consumption) == (None, 0.0)


def test_efficiency_follows_from_power_and_hash_rate():
    store(make_site(), reading(power_consumption=3000.0, efficiency=0.0), reading("told", power_consumption=3000.0, efficiency=31.0))
    assert (live().efficiency, live("told").efficiency) == (30.0, 31.0)


def test_boards_are_counted_when_the_collector_does_not():
    boards = [Board(id=0, hashrate=30.0), Board(id=1, hashrate=0.0), Board(id=2, hashrate=30.0, chips_ok=60, chips_total=76)]
    store(make_site(), reading(boards=boards), reading("told", boards=boards, boards_total=4, boards_healthy=2))
    assert (live().boards_total, live().boards_healthy) == (3, 1)
    assert (live("told").boards_total, live("told").boards_healthy) == (4, 2)


def test_temperatures_follow_from_chips_and_boards():
    boards = [Board(id=0, hashrate=30.0, temp=60.0), Board(id=1, hashrate=30.0, temp=70.0), Board(id=2, hashrate=30.0)]
    chips = [80.0, 90.0]
    unknown = {"temperature_avg": None, "temperature_max": None}
    store(
        make_site(),
        reading("both", boards=boards, temperature_chips=chips, **unknown),
        reading("chips", temperature_chips=chips, **unknown),
        reading("neither", **unknown),
        reading("told", boards=boards, temperature_avg=50.0, temperature_max=51.0),
    )
    found = {name: (live(name).temperature_avg, live(name).temperature_max) for name in ("both", "chips", "neither", "told")}
    assert found == {"both": (65.0, 90.0), "chips": (85.0, 90.0), "neither": (None, None), "told": (50.0, 51.0)}


@pytest.mark.parametrize(
    ("fields", "state", "health"),
    [
        ({}, "mining", "healthy"),
        ({"hashrate_ghs": None}, None, "unknown"),
        ({"hashrate_ghs": 0.0}, "unknown", "critical"),
        ({"hashrate_ghs": 90.0, "hashrate_5s_ghs": 0.0}, "unknown", "critical"),
        ({"hashrate_ghs": 0.0, "mining_state": "sleeping"}, "sleeping", "healthy"),
        ({"mining_state": "overheated"}, "overheated", "critical"),
        ({"boards_total": 3, "boards_healthy": 2}, "mining", "degraded"),
        ({"hashrate_ghs": 0.0, "boards_total": 3, "boards_healthy": 0}, "fault", "critical"),
        ({"hashrate_ghs": 70.0, "hashrate_expected_ghs": 100.0}, "mining", "degraded"),
        ({"overall_health": "degraded"}, "mining", "degraded"),
    ],
)
def test_state_and_health_are_derived_when_absent(fields, state, health):
    store(make_site(), reading(**fields))
    assert (live().mining_state, live().overall_health) == (state, health)


def test_text_that_no_database_stores_does_not_cost_the_batch():
    store(make_site(), reading(error_message="a\0b\ud800", model="x" * 300), reading("m2"))
    assert (live().error_message, len(live().model)) == ("ab?", 100)
    assert live("m2").hashrate_ghs == 100_000.0


def test_a_reading_of_a_wrong_clock_is_stored_at_its_receipt_and_reported():
    report = store(make_site(), reading("ahead", minute(600)), reading("right", minute(0)), at=minute(0))
    assert live("ahead").timestamp == NOON
    assert [(error.index, error.field) for error in report.errors] == [(0, "timestamp")]
    assert "36000 s ahead" in report.errors[0].reason
    assert report.processed == 2


def test_a_clock_a_little_ahead_is_believed():
    report = store(make_site(), reading(at=minute(4)), at=minute(0))
    assert (live().timestamp, report.errors) == (minute(4), [])


def test_a_reading_older_than_history_is_refused_and_reported(settings):
    settings.RETENTION_HISTORY_DAYS = 30
    report = store(make_site(), reading(at=NOON - timedelta(days=31)), reading("m2"), at=NOON)
    assert [error.index for error in report.errors] == [0]
    assert "older than the 30 days" in report.errors[0].reason
    assert MinerTelemetryHistory.objects.count() == 1


def test_errors_name_the_position_in_the_upload_where_records_were_refused_before():
    refused = [RecordError(0, "miner_id", "missing"), RecordError(2, "timestamp", "not a time")]
    report = store(make_site(), reading("a"), reading("b", minute(900)), at=NOON, upload=an_upload(4, errors=refused))
    assert [error.index for error in report.errors] == [0, 2, 3]


def test_an_unknown_miner_is_registered_and_marked_as_discovered():
    site = make_site()
    report = store(site, reading(ip_address="10.0.0.9"), upload=an_upload(zone_id="hall-2"))
    miner = Miner.objects.get(site=site, miner_id="m1")
    assert (miner.discovered, miner.ip_address, miner.zone) == (True, "10.0.0.9", "hall-2")
    assert report.miner_keys == {"m1": miner.pk}


def test_a_site_that_does_not_register_unknown_miners_reports_them():
    site = make_site(register_unknown_miners=False)
    Miner.objects.create(site=site, miner_id="known")
    report = store(site, reading("known"), reading("stranger"))
    assert [(error.index, error.field) for error in report.errors] == [(1, "miner_id")]
    assert "stranger is not in the inventory" in report.errors[0].reason
    assert (report.processed, report.inserted, Miner.objects.count()) == (1, 1, 1)


def test_the_same_name_at_two_sites_is_two_miners():
    store(make_site("north"), reading(hashrate_ghs=1.0))
    store(make_site("south"), reading(hashrate_ghs=2.0))
    assert sorted(MinerTelemetryLive.objects.values_list("site__code", "hashrate_ghs")) == [("north", 1.0), ("south", 2.0)]


def test_a_miner_that_moved_to_another_site_takes_its_live_row_along():
    store(make_site("north"), reading())
    south = make_site("south")
    Miner.objects.update(site=south)
    store(south, reading(at=minute(1)))
    assert live().site == south


def test_a_few_miners_are_found_among_many_of_their_site():
    site = make_site()
    names = [f"rack {number:03} “A”" for number in range(40)]
    store(site, *[reading(name) for name in names])
    report = store(site, reading(names[39], minute(1)), reading(names[0], minute(1)), reading("rack 0", minute(1)))
    assert (report.inserted, report.updated, Miner.objects.count()) == (1, 2, 41)


def test_known_new_and_late_readings_of_one_batch_are_each_counted_as_what_they_are():
    site = make_site()
    store(site, reading("known", minute(0)), reading("ahead", minute(5), hashrate_ghs=5.0))
    report = store(site, reading("known", minute(1), hashrate_ghs=1.0), reading("new", minute(1)), reading("ahead", minute(1)))
    assert (report.processed, report.duplicates, report.inserted, report.updated) == (3, 0, 1, 2)
    assert (live("known").hashrate_ghs, live("ahead").hashrate_ghs, live("new").timestamp) == (1.0, 5.0, minute(1))


def test_the_upload_is_logged_with_what_became_of_it():
    refused = [RecordError(1, "hashrate_ghs", "above 1e12")]
    upload = an_upload(3, errors=refused, mode="latest", device_id="pi-3", sequence_start=7, sequence_end=9)
    store(make_site(), reading("a", minute(-2)), reading("b", online=False), at=NOON, upload=upload)
    row = CollectorUploadLog.objects.get()
    assert (row.status, row.received, row.processed, row.inserted, row.online, row.offline) == ("partial", 3, 2, 2, 1, 1)
    assert (row.error_count, row.errors) == (1, [{"index": 1, "field": "hashrate_ghs", "reason": "above 1e12"}])
    assert (row.upload_time, row.oldest_reading_at, row.newest_reading_at) == (NOON, minute(-2), NOON)
    assert (row.mode, row.device_id, row.sequence_start, row.sequence_end) == ("latest", "pi-3", 7, 9)


def test_an_upload_with_nothing_valid_is_logged_as_refused():
    report = store(make_site(), at=NOON, upload=an_upload(1, errors=[RecordError(0, "miner_id", "missing")]))
    assert (report.processed, CollectorUploadLog.objects.get().status) == (0, "refused")


def test_a_failure_leaves_nothing_of_the_batch():
    with pytest.raises(ValueError, match="expected a number"):
        store(make_site(), reading(), upload=an_upload(sequence_start="seven"))
    assert (Miner.objects.count(), MinerTelemetryHistory.objects.count(), MinerTelemetryLive.objects.count()) == (0, 0, 0)


def test_the_number_of_statements_does_not_grow_with_the_batch(django_assert_max_num_queries):
    site = make_site()
    store(site, *[full_reading(f"m{number}") for number in range(300)])
    with django_assert_max_num_queries(24):
        store(site, *[full_reading(f"m{number}", minute(1)) for number in range(300)], upload=an_upload(300))
