"""Uploads over HTTP: what is stored, what is answered, which forms are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from telemetry.models import CollectorUploadLog, MinerTelemetryHistory, MinerTelemetryLive
from tests.makers import make_key, make_site
from tests.telemetry.collector import UPLOAD, Collector

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return make_site("north", collection="collector")


@pytest.fixture
def collector(site):
    return Collector(make_key(site)[1])


def live(miner_id="m1"):
    return MinerTelemetryLive.objects.select_related("miner__detail").get(miner__miner_id=miner_id)


def recent(minutes=0):
    return timezone.now() - timedelta(minutes=minutes)


def test_array_upload_is_stored_and_answered_with_counts(collector, site):
    record = {"miner_id": "m1", "timestamp": recent().isoformat(), "online": True, "hashrate_ghs": 95_000.5, "uptime_seconds": 2**40}

    answer = collector.send([record, {"miner_id": "m2", "online": False, "error_message": "timed out"}])

    assert answer.status_code == 200
    elapsed = answer.data["data"].pop("processing_time_ms")
    assert elapsed > 0
    assert answer.data == {
        "success": True,
        "status": "ok",
        "received": 2,
        "processed": 2,
        "inserted": 2,
        "updated": 0,
        "duplicates": 0,
        "online": 1,
        "offline": 1,
        "ignored_fields": 0,
        "errors": [],
        "data": {"processed": 2, "inserted": 2, "updated": 0, "online": 1, "offline": 1},
    }
    assert live().hashrate_ghs == 95_000.5
    assert live().uptime_seconds == 2**40
    assert live().site == site
    assert MinerTelemetryHistory.objects.count() == 2


def test_a_bad_record_is_reported_by_index_and_field_and_the_others_are_stored(collector):
    answer = collector.send([{"miner_id": "m1", "temperature_avg": 60}, {"miner_id": "m2", "temperature_avg": 200}, {"hashrate_ghs": 1}, 7])

    assert answer.status_code == 200
    assert answer.data["errors"] == [
        {"index": 1, "field": "temperature_avg", "reason": "must be at most 150"},
        {"index": 2, "field": "miner_id", "reason": "is missing"},
        {"index": 3, "field": "record", "reason": "is not an object"},
    ]
    assert (answer.data["received"], answer.data["processed"]) == (4, 1)
    assert MinerTelemetryLive.objects.count() == 1


def test_a_batch_without_a_valid_record_is_400_with_the_reasons(collector):
    answer = collector.send([{"miner_id": ""}, {"miner_id": "x" * 51}])

    assert answer.status_code == 400
    assert answer.data["success"] is False
    assert [error["field"] for error in answer.data["errors"]] == ["miner_id", "miner_id"]
    assert CollectorUploadLog.objects.get().status == "refused"


def test_an_empty_batch_is_taken_as_a_sign_of_life(collector):
    assert collector.send([]).data["received"] == 0


@pytest.mark.parametrize("url", [UPLOAD, "/api/edge/v1/telemetry/ingest", "/api/edge/v1/telemetry/batch"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_both_generations_of_the_address_take_uploads_with_and_without_a_slash(collector, url, slash):
    assert collector.send([{"miner_id": "m1"}], url=url + slash).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"schema": "telemetry_envelope.v1", "site_id": "north", "records": [{"miner_id": "m1"}], "record_count": 1, "mode": "raw"},
        {"format": "telemetry_envelope.v1", "site_id": "north", "miners": [{"miner_id": "m1"}], "source_seq_start": 4, "source_seq_end": 4},
        {"device_id": "edge-7", "timestamp": "", "miners": [{"miner_id": "m1", "timestamp": None}]},
        {"records": None, "miners": [{"miner_id": "m1"}], "extra": {"deep": [1]}},
        [{"worker_id": "m1"}],
    ],
)
def test_every_form_of_the_body_is_read(collector, body):
    answer = collector.send(body)

    assert (answer.status_code, answer.data["processed"]) == (200, 1)
    assert live()


def test_envelope_is_logged_with_its_device_zone_mode_and_sequence(collector):
    records = [{"miner_id": "m1", "source_seq": 7}]
    collector.send({"device_id": "edge-7", "zone_id": "B", "mode": "raw", "source_seq_start": 7, "source_seq_end": 7, "records": records})

    log = CollectorUploadLog.objects.get()

    assert (log.device_id, log.zone_id, log.mode, log.sequence_start, log.sequence_end) == ("edge-7", "B", "raw", 7, 7)
    assert (log.status, log.received, log.processed, log.client_address) == ("stored", 1, 1, "127.0.0.1")
    assert log.size_bytes > 0


def test_record_without_a_time_takes_the_envelopes(collector):
    sent_at = recent(minutes=20).replace(microsecond=0)

    collector.send(
        {"sent_at": sent_at.replace(tzinfo=None).isoformat(), "records": [{"miner_id": "m1"}, {"miner_id": "m2", "timestamp": ""}]}
    )

    assert live("m1").timestamp == live("m2").timestamp == sent_at


def test_record_without_any_time_takes_that_of_receipt(collector):
    before = timezone.now()
    collector.send([{"miner_id": "m1"}])

    assert before <= live().timestamp <= timezone.now()


WAYS_TO_WRITE_A_TIME = {
    "naive": lambda at: at.replace(tzinfo=None).isoformat(),
    "microseconds": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.000000",
    "nanoseconds": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.000000000",
    "Z": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z",
    "offset": lambda at: at.astimezone(timezone.get_fixed_timezone(480)).isoformat(),
    "blank": lambda at: f"{at:%Y-%m-%d %H:%M:%S}",
    "blanks around": lambda at: f" {at:%Y-%m-%dT%H:%M:%S} ",
    "seconds": lambda at: at.timestamp(),
    "whole seconds": lambda at: int(at.timestamp()),
    "milliseconds": lambda at: int(at.timestamp() * 1000),
    "seconds in text": lambda at: str(int(at.timestamp())),
}


@pytest.mark.parametrize("way", WAYS_TO_WRITE_A_TIME)
def test_every_way_to_write_a_time_is_the_same_moment(collector, way):
    moment = recent(minutes=60).replace(microsecond=0)

    collector.send([{"miner_id": "m1", "timestamp": WAYS_TO_WRITE_A_TIME[way](moment)}])

    assert live().timestamp == moment


@pytest.mark.parametrize(
    "timestamp", ["yesterday", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00", -1, 1e300, [], {}, "2026-02-30T00:00:00"]
)
def test_record_of_an_impossible_time_is_refused(collector, timestamp):
    answer = collector.send([{"miner_id": "m1", "timestamp": timestamp}, {"miner_id": "m2"}])

    assert [(error["index"], error["field"]) for error in answer.data["errors"]] == [(0, "timestamp")]
    assert answer.data["processed"] == 1


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("54997.01", 54_997.01),
        ("  6.0000", 6.0),
        ("13,500.00", 13_500.0),
        ("1,234,567", 1_234_567.0),
        ("13 500", 13_500.0),
        (None, None),
        ("", None),
        ("n/a", None),
        ("1,5", None),
        ("NaN", None),
        ("inf", None),
        (True, None),
        ([1], None),
        ({}, None),
        (0, 0.0),
        ("0.00", 0.0),
    ],
)
def test_number_in_text_is_read_and_a_word_is_missing(collector, sent, stored):
    assert collector.send([{"miner_id": "m1", "hashrate_ghs": sent}]).data["processed"] == 1

    assert live().hashrate_ghs == stored


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("  6.0000", 6), ("12,000", 12_000), (12.9, 12), ("9223372036854775807", 2**63 - 1), ("x", None), (5_000_000_000, 5_000_000_000)],
)
def test_counter_in_any_writing_is_a_whole_number(collector, sent, stored):
    collector.send([{"miner_id": "m1", "accepted_shares": sent}])

    assert live().accepted_shares == stored


def test_nan_and_infinity_tokens_are_missing_values(collector):
    answer = collector.post(b'[{"miner_id": "m1", "hashrate_ghs": NaN, "temperature_avg": -Infinity, "power_consumption": 3250}]')

    assert answer.data["processed"] == 1
    assert (live().hashrate_ghs, live().temperature_avg, live().power_consumption) == (None, None, 3250.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hashrate_ghs", -1),
        ("hashrate_5s_ghs", 1e13),
        ("hashrate_expected_ghs", 1e308),
        ("temperature_avg", -51),
        ("temperature_max", 150.5),
        ("temperature_chips", [50] * 101),
        ("fan_speeds", [3000] * 21),
        ("frequency_avg", 10_001),
        ("accepted_shares", -1),
        ("uptime_seconds", 2**63),
        ("hardware_errors", 10**400),
        ("power_consumption", 100_001),
        ("pool_url", "x" * 256),
        ("worker_name", "x" * 101),
        ("latency_ms", -0.5),
        ("boards", [{}] * 11),
        ("model", "x" * 101),
        ("firmware_version", "x" * 51),
        ("error_message", "x" * 501),
        ("ip_address", "x" * 46),
        ("miner_id", "x" * 51),
        ("miner_id", "a\x00b"),
    ],
)
def test_record_that_breaks_a_bound_is_refused(collector, field, value):
    answer = collector.send([{"miner_id": "m1", field: value}, {"miner_id": "m2"}])

    assert [(error["index"], error["field"]) for error in answer.data["errors"]] == [(0, field)]
    assert MinerTelemetryLive.objects.get().miner.miner_id == "m2"


def test_unknown_fields_are_ignored_and_counted(collector):
    answer = collector.send([{"miner_id": "m1", "hashrate_ghs": 5, "voltage": 12.1, "tags": ["a"]}, {"miner_id": "m2", "voltage": 12}])

    assert (answer.data["processed"], answer.data["ignored_fields"], answer.data["errors"]) == (2, 3, [])


@pytest.mark.parametrize("known", [{"hashrate_ghs": 5}, {"hashrate_ghs": " 5.0 "}, {"online": "yes", "hashrate_ghs": 5}])
@pytest.mark.parametrize("unknown", [{"voltage": 12}, {"`odd` name\n": None}, {f"field {number}": number for number in range(25)}])
def test_unknown_fields_are_counted_wherever_they_stand_and_cost_nothing_else(collector, known, unknown):
    answer = collector.send([{"miner_id": "m1"}, {"miner_id": "m2", **known, **unknown}, {"miner_id": "m3", **unknown}])

    assert (answer.data["processed"], answer.data["ignored_fields"], answer.data["errors"]) == (3, 2 * len(unknown), [])
    assert live("m2").hashrate_ghs == 5


def test_a_number_in_text_that_breaks_a_bound_refuses_its_record_alone(collector):
    answer = collector.send(
        [{"miner_id": "m1", "hashrate_ghs": " 5,000.5 ", "frequency_avg": "?"}, {"miner_id": "m2", "temperature_max": " 151 "}]
    )

    assert [(error["index"], error["field"], error["reason"]) for error in answer.data["errors"]] == [
        (1, "temperature_max", "must be at most 150")
    ]
    assert (live("m1").hashrate_ghs, live("m1").frequency_avg) == (5000.5, None)


def test_zero_that_means_unknown_is_not_stored_as_zero(collector):
    zeros = {
        "power_consumption": 0.0,
        "efficiency": 0,
        "temperature_avg": 0.0,
        "temperature_max": 0.0,
        "frequency_avg": 0.0,
        "uptime_seconds": 0,
    }
    collector.send([{"miner_id": "m1", "hashrate_ghs": 95_000.0, "accepted_shares": 10, "rejected_shares": 0, **zeros}])

    assert [getattr(live(), name) for name in zeros] == [None] * 6
    assert live().rejected_shares == 0


def test_power_of_a_sleeping_miner_that_the_agent_can_not_know_is_not_summed_up_as_zero(collector):
    collector.send([{"miner_id": "m1", "hashrate_ghs": 0.0, "power_consumption": 0.0, "uptime_seconds": 60}])

    assert live().power_consumption is None
    assert collector.get("/api/collector/status").data["power_consumption"] is None


def test_empty_text_never_blanks_what_is_known(collector):
    known = {"pool_url": "stratum+tcp://pool.example:3333", "worker_name": "farm.1", "firmware_version": "2025.1"}
    collector.send([{"miner_id": "m1", "timestamp": recent(minutes=2).isoformat(), **known}])

    collector.send([{"miner_id": "m1", "timestamp": recent().isoformat(), **dict.fromkeys(known, "")}], **{"X-Upload-Mode": "latest"})

    assert {name: getattr(live(), name) for name in known} == known


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ([6000, 5880, 5040, 5040, 4], [6000, 5880, 5040, 5040]),
        ([4, 4408], [4408]),
        ([4], []),
        ([3600.0, "3,720", None], [3600, 3720]),
        ([0, 3600], [0, 3600]),
        ([-1, 10**30, 3600], [3600]),
    ],
)
def test_number_of_fans_is_not_a_fan_speed(collector, sent, stored):
    collector.send([{"miner_id": "m1", "fan_speeds": sent}])

    assert json.loads(live().miner.detail.fan_speeds) == stored


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ([73, 66, 78, 71, 69, 64, 3], [73, 66, 78, 71, 69, 64]),
        ([3, 22, 27, 20, 25, 21, 26], [22, 27, 20, 25, 21, 26]),
        ([3], []),
        ([0, 0, 0], []),
        ([-12, -9, 4, 3], [-12, -9, 4, 3]),
        ([61.5, 1e308, "60"], [61.5, 60]),
    ],
)
def test_number_of_chips_is_not_a_chip_temperature(collector, sent, stored):
    collector.send([{"miner_id": "m1", "temperature_chips": sent}])

    assert json.loads(live().miner.detail.temperature_chips) == stored


def test_average_that_the_agent_took_over_the_count_too_is_corrected(collector):
    chips = [60, 70, 80, 2]
    collector.send([{"miner_id": "m1", "temperature_chips": chips, "temperature_avg": 53.0, "temperature_max": 80, "temperature_min": 2}])

    assert (live().temperature_avg, live().temperature_min, live().temperature_max) == (70.0, 60.0, 80.0)


def test_average_that_is_not_of_these_chips_is_left_alone(collector):
    collector.send([{"miner_id": "m1", "temperature_chips": [60, 70, 80, 2], "temperature_avg": 66.0, "temperature_max": 80}])

    assert live().temperature_avg == 66.0


def test_aliases_fill_what_is_absent(collector):
    collector.send([{"worker_id": "m1", "hashrate_rt": 95.5, "temperature": 71}])

    assert (live().hashrate_ghs, live().temperature_avg, live().temperature_max) == (95_500.0, 71.0, 71.0)


def test_boards_are_stored_and_counted(collector):
    boards = [
        {"id": 0, "hashrate": 33_000, "temp": 60, "chips_ok": 126, "chips_total": 126},
        {"id": 1, "hashrate": "33,100.5", "temp": 999, "chips_ok": 120, "chips_total": 126, "serial": "x"},
        "not a board",
    ]
    collector.send([{"miner_id": "m1", "hashrate_ghs": 66_100, "boards": boards}])

    assert (live().boards_total, live().boards_healthy) == (2, 1)
    assert json.loads(live().miner.detail.boards)[1]["hashrate"] == 33_100.5


def test_two_readings_of_one_miner_are_two_and_of_one_moment_the_last(collector):
    early, late = recent(minutes=10).isoformat(), recent(minutes=5).isoformat()
    collector.send(
        [
            {"miner_id": "m1", "timestamp": late, "hashrate_ghs": 1},
            {"miner_id": "m1", "timestamp": early, "hashrate_ghs": 2},
            {"miner_id": "m1", "timestamp": late, "hashrate_ghs": 3},
        ]
    )

    assert sorted(MinerTelemetryHistory.objects.values_list("hashrate_ghs", flat=True)) == [2.0, 3.0]
    assert live().hashrate_ghs == 3.0


def test_replayed_latest_batch_is_neither_stored_twice_nor_shown(collector):
    old = [{"miner_id": "m1", "timestamp": recent(minutes=300).isoformat(), "hashrate_ghs": 1}]
    collector.send(old)
    collector.send([{"miner_id": "m1", "timestamp": recent().isoformat(), "hashrate_ghs": 2}])

    answer = collector.send(old, **{"X-Upload-Mode": "latest"})

    assert (answer.status_code, answer.data["duplicates"]) == (200, 1)
    assert live().hashrate_ghs == 2.0
    assert MinerTelemetryHistory.objects.count() == 2


def test_nul_and_surrogates_in_text_are_taken_out(collector):
    body = (
        rb'[{"miner_id": "m1", "worker_name": "a\u0000b\ud800c", "pool_url": "stratum\u0000"}, {"miner_id": "m2", "model": "\ud83d\ude00"}]'
    )

    assert collector.post(body).data["processed"] == 2
    assert (live().worker_name, live().pool_url, live("m2").model) == ("abc", "stratum", "😀")


def test_surrogates_deep_in_lists_are_taken_out(collector):
    body = rb'[{"miner_id": "m1", "efficiency": NaN, "boards": [{"id": "\ud800a", "temp": "60"}], "error_codes": ["\udfff7"], '
    body += rb'"pools": [{"url": "\ud800stratum", "user": "u"}]}]'

    assert collector.post(body).data["processed"] == 1
    detail = live().miner.detail
    assert json.loads(detail.boards)[0]["id"] == "a"
    assert json.loads(detail.boards)[0]["temp"] == 60
    assert (json.loads(detail.error_codes), json.loads(detail.pools)[0]["url"]) == (["7"], "stratum")


@pytest.mark.parametrize("value", [1e-300, 5e-324])
@pytest.mark.parametrize("field", ["temperature_avg", "power_consumption", "latency_ms", "frequency_avg", "efficiency", "hashrate_ghs"])
def test_number_closer_to_zero_than_a_column_can_hold_is_stored(collector, field, value):
    assert collector.send([{"miner_id": "m1", field: value}]).data["processed"] == 1


def test_later_duplicate_of_a_key_counts(collector):
    collector.post(b'[{"miner_id": "m0", "miner_id": "m1", "hashrate_ghs": 1, "hashrate_ghs": 2}]')

    assert live().hashrate_ghs == 2.0


def test_reading_from_the_future_is_reported_and_shown_at_the_time_of_receipt(collector):
    answer = collector.send([{"miner_id": "m1", "timestamp": datetime(2999, 1, 1, tzinfo=UTC).isoformat()}])

    assert answer.data["errors"][0]["field"] == "timestamp"
    assert live().timestamp <= timezone.now()


def first_board(number, **told):
    """A board as the first generation of collectors describes it."""
    numbers = {"hashrate_ths": 31.52, "temperature_c": 61.0, "chips_total": 114, "chips_ok": 114, "chips_failed": 0, "voltage_mv": 0.0}
    return {"board_index": number, **numbers, "chip_status": "x" * 114, "health": "healthy", **told}


def test_boards_in_the_words_of_the_first_collectors_are_read(collector):
    weak, blind = {"hashrate_ths": "30,5", "chips_ok": 110, "health": "warning"}, {"temperature_c": 0.0, "chips_total": 0}
    boards = [first_board(0), first_board(1, **weak), first_board(2, **blind)]
    answer = collector.send([{"miner_id": "m1", "hashrate_ghs": 92_000, "boards": boards, "overall_health": "warning"}])

    assert (answer.status_code, answer.data["errors"]) == (200, [])
    assert json.loads(live().miner.detail.boards) == [
        {"id": 0, "hashrate": 31_520.0, "temp": 61.0, "chips_ok": 114, "chips_total": 114},
        {"id": 1, "hashrate": None, "temp": 61.0, "chips_ok": 110, "chips_total": 114},
        {"id": 2, "hashrate": 31_520.0, "temp": None, "chips_ok": None, "chips_total": None},
    ]
    assert live().overall_health == "degraded"


def test_miner_whose_boards_its_collector_cannot_see_is_not_offline_for_that(collector):
    blind = {"boards": [], "boards_total": 0, "boards_healthy": 0, "overall_health": "offline"}
    collector.send([{"miner_id": "m1", "hashrate_ghs": 92_000, **blind}, {"miner_id": "m2", "online": False, **blind}])

    seen = {name: (live(name).overall_health, live(name).boards_total) for name in ("m1", "m2")}
    assert seen == {"m1": ("healthy", None), "m2": ("offline", None)}


def test_pools_and_error_codes_beyond_measure_are_cut_and_cost_no_reading(collector):
    long = "x" * 10_000
    pools = [{"url": long, "user": long, "status": long, "accepted": 7}, {"url": "stratum+tcp://pool.example:3333"}] * 50
    answer = collector.send([{"miner_id": "m1", "hashrate_ghs": 92_000, "pools": pools, "error_codes": [long] * 200, "error_type": long}])

    detail = live().miner.detail
    kept = json.loads(detail.pools)
    assert (answer.data["errors"], live().hashrate_ghs, len(kept), kept[0]["accepted"]) == ([], 92_000, 20, 7)
    assert (len(kept[0]["url"]), len(kept[0]["user"]), len(kept[0]["status"]), kept[1]["url"]) == (255, 100, 100, pools[1]["url"])
    assert json.loads(detail.error_codes) == ["x" * 100] * 100
