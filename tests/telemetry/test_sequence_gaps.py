"""Numbered readings in the ledger of gaps: what is missing, what is still being sent, what is lost and what was dropped."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sites.collectors import Event, record_events
from sites.models import Collector, Site
from telemetry import gaps, sequence_gaps
from telemetry.models import CollectorSequence, CollectorUploadLog, TelemetryGap
from telemetry.retention import prune
from tests.makers import make_key
from tests.telemetry.collector import Collector as Agent
from tests.telemetry.farm import an_upload, make_site, minute, reading, store

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return make_site(collection=Site.Collection.COLLECTOR)


def send(site, *numbers, at=None, device="edge-7", zone="B", **fields):
    """One upload of readings whose number is the minute they were taken in; received when the last of them was, or at minute `at`."""
    upload = an_upload(
        len(numbers),
        **{"device_id": device, "zone_id": zone, "sequence_start": min(numbers), "sequence_end": max(numbers), **fields},
    )
    store(site, *[reading(at=minute(number)) for number in numbers], at=minute(max(numbers) if at is None else at), upload=upload)


def beat(site, at, *, waiting=0, oldest=None, device="edge-7"):
    """A heartbeat at minute `at`, with so many readings waiting, the oldest of minute `oldest`."""
    Collector.objects.filter(site=site, device_id=device).update(
        heartbeat_at=minute(at),
        sent_at=minute(at),
        spool_records=waiting,
        spool_oldest_at=None if oldest is None else minute(oldest),
        interval_seconds=60,
    )


def drop(site, start, end, **details):
    key, _ = make_key(site)
    said = {"seq_start": start, "seq_end": end, "from": minute(start).isoformat(), "to": minute(end).isoformat(), "reason": "size"}
    event = Event(event_id=uuid.uuid4(), kind="spool_dropped", at=minute(end), details={**said, **details})
    record_events(key, [event], device_id="edge-7", zone_id="B", now=minute(end))


def ledger(now=100, **which):
    gaps.update(minute(now))
    rows = TelemetryGap.objects.filter(collector__isnull=False, **which).order_by("sequence_start")
    return [(row.sequence_start, row.sequence_end, row.cause) for row in rows]


def test_readings_that_all_arrive_leave_no_gap_of_their_collector(site):
    send(site, 1, 2, 3)
    send(site, 4, 5, 6)

    assert ledger() == []
    assert CollectorSequence.objects.get().highest == 6


def test_missing_numbers_are_a_gap_between_the_readings_around_it(site):
    send(site, 1, 2)
    send(site, 6, 7)

    assert ledger() == [(3, 5, "spool_replaying")]
    gap = TelemetryGap.objects.get(collector__isnull=False)
    assert (gap.started_at, gap.ended_at, gap.records) == (minute(2), minute(6), 3)
    assert (gap.collector.device_id, gap.collector.zone_id) == ("edge-7", "B")


def test_late_batches_shorten_the_gap_and_then_remove_it(site):
    send(site, 1, 2)
    send(site, 9, 10)
    assert ledger() == [(3, 8, "spool_replaying")]
    send(site, 7, 8, at=11)
    assert ledger() == [(3, 6, "spool_replaying")]
    send(site, 3, 4, at=12)
    send(site, 5, 6, at=13)
    assert ledger() == []


def test_gap_is_being_sent_while_the_heartbeat_says_that_something_as_old_waits(site):
    send(site, 1, 2)
    send(site, 9, 10)
    ledger()
    beat(site, 60, waiting=6, oldest=3)
    assert ledger() == [(3, 8, "spool_replaying")]


@pytest.mark.parametrize(("waiting", "oldest"), [(0, None), (40, 20)])
def test_gap_is_lost_when_nothing_as_old_waits_any_more(site, waiting, oldest):
    send(site, 1, 2)
    send(site, 9, 10)
    ledger()
    beat(site, 60, waiting=waiting, oldest=oldest)
    assert ledger() == [(3, 8, "sequence_missing")]


def test_heartbeat_from_before_the_hole_does_not_judge_it(site):
    send(site, 1, 2)
    send(site, 9, 10)
    ledger()
    beat(site, 9.5)
    assert ledger() == [(3, 8, "spool_replaying")]


def test_lost_gap_goes_when_its_readings_arrive_all_the_same(site):
    send(site, 1, 2)
    send(site, 4, 5)
    ledger()
    beat(site, 60)
    assert ledger() == [(3, 3, "sequence_missing")]
    send(site, 3, at=70)
    assert ledger() == []


def test_gap_of_a_collector_without_heartbeats_is_lost_after_a_day(site):
    send(site, 1, 2)
    send(site, 9, 10)
    assert ledger(now=9 + 24 * 60) == [(3, 8, "spool_replaying")]
    assert ledger(now=10 + 24 * 60) == [(3, 8, "sequence_missing")]


def test_dropped_readings_are_a_gap_with_that_cause(site):
    send(site, 1, 2)
    send(site, 9, 10)
    drop(site, 3, 5)

    assert ledger() == [(3, 5, "dropped"), (6, 8, "spool_replaying")]
    gap = TelemetryGap.objects.get(cause="dropped")
    assert (gap.started_at, gap.ended_at, gap.records) == (minute(3), minute(5), 3)


def test_drop_is_a_gap_before_anything_else_of_the_collector_arrives(site):
    drop(site, 1, 4)
    assert ledger() == [(1, 4, "dropped")]
    send(site, 5, 6)
    assert ledger() == [(1, 4, "dropped")]


def test_readings_that_arrived_although_they_were_dropped_are_no_gap(site):
    send(site, 1, 2, 3)
    drop(site, 2, 3)
    assert ledger() == []


@pytest.mark.parametrize("details", [{}, {"from": "soon", "to": None}, {"from": 10**30}, {"seq_start": "x"}, {"records": -1}])
def test_drop_without_numbers_is_a_gap_by_its_times(site, details):
    drop(site, 3, 5, **{"seq_start": None, "seq_end": None, "records": 3, **details})
    assert ledger() == [(None, None, "dropped")]
    assert ledger() == [(None, None, "dropped")]


def test_reinstalled_collector_that_begins_at_one_again_is_followed_from_there(site):
    send(site, 101, 102)
    send(site, 105, 106)
    ledger()
    send(site, 120, 121, sequence_start=1, sequence_end=2)
    send(site, 122, 123, sequence_start=3, sequence_end=4)
    send(site, 130, 131, sequence_start=7, sequence_end=8)

    assert ledger() == [(5, 6, "spool_replaying"), (103, 104, "sequence_missing")]
    assert CollectorSequence.objects.get().epoch == 2


def test_replay_of_older_readings_does_not_look_like_a_reinstallation(site):
    send(site, 1, 2, 3)
    send(site, 50, 51)
    for number in range(48, 2, -2):
        send(site, number, number + 1, at=60)

    assert ledger() == []
    assert CollectorSequence.objects.get().epoch == 1


def test_named_numbering_tells_a_new_one_even_with_higher_numbers(site):
    send(site, 1, 2, sequence_epoch="a")
    send(site, 10, 11, sequence_epoch="b")
    send(site, 3, 4, at=12, sequence_epoch="a")
    send(site, 12, 13, sequence_epoch="b")

    assert ledger() == []
    state = CollectorSequence.objects.get()
    assert (state.epoch, state.epoch_id, state.highest) == (2, "b", 13)


def test_zones_and_devices_have_numbers_of_their_own(site):
    send(site, 1, 2)
    send(site, 5, 6, zone="C")
    send(site, 8, 9, device="edge-8")
    send(site, 3, 4)

    assert ledger() == []
    assert Collector.objects.count() == 3


def test_uploads_without_numbers_have_no_collector_and_no_gap(site):
    send(site, 1, 2, sequence_start=None, sequence_end=None)
    send(site, 9, 10, sequence_start=None, sequence_end=None)

    assert ledger() == []
    assert not Collector.objects.exists()


@pytest.mark.parametrize("numbers", [(9, 3), (-5, 2)])
def test_numbers_that_make_no_sense_are_passed_over(site, numbers):
    send(site, 1, 2)
    send(site, 3, 4, sequence_start=numbers[0], sequence_end=numbers[1])

    assert ledger() == []
    assert not CollectorUploadLog.objects.filter(sequence_due=True).exists()


def test_gap_of_one_collector_is_no_gap_of_its_site_nor_of_its_miners(site):
    send(site, 1, 2)
    send(site, 6, 7)
    ledger()
    span = {"start": minute(0), "end": minute(50)}

    assert [gap.sequence_start for gap in gaps.of_collectors(site, **span)] == [3]
    assert not gaps.of_site(site, **span).filter(cause="spool_replaying", ended_at=minute(6)).exists()


def test_updating_twice_changes_nothing(site):
    send(site, 1, 2)
    send(site, 9, 10)
    drop(site, 4, 5)
    before = ledger()
    pks = set(TelemetryGap.objects.values_list("pk", flat=True))

    assert ledger() == before
    assert set(TelemetryGap.objects.values_list("pk", flat=True)) == pks


def test_noting_costs_the_same_number_of_queries_whatever_the_number_of_uploads(site):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            sequence_gaps.update(minute(500))
        return len(captured)

    send(site, 1, 2)
    sequence_gaps.update(minute(3))
    send(site, 3, 4)
    few = queries()
    for number in range(5, 65, 2):
        send(site, number, number + 1)
    assert queries() == few


def test_envelope_over_the_wire_is_noted_with_its_numbers(site):
    agent = Agent(make_key(site)[1])
    for first in (1, 5):
        records = [{"miner_id": f"m{number}", "source_seq": number} for number in range(first, first + 2)]
        envelope = {"schema": "telemetry_envelope.v1", "device_id": "edge-7", "zone_id": "B", "source_epoch": "spool-1"}
        assert agent.send({**envelope, "source_seq_start": first, "source_seq_end": first + 1, "records": records}).status_code == 200

    assert ledger() == [(3, 4, "spool_replaying")]
    assert CollectorSequence.objects.get().epoch_id == "spool-1"


@pytest.mark.django_db(transaction=True)
def test_old_gaps_and_events_of_collectors_are_pruned(site):
    drop(site, 1, 4)
    ledger()
    prune(now=minute(0) + timedelta(days=11), rollup_1h_days=10, upload_log_days=10, history_days=400)

    assert not TelemetryGap.objects.exists()
    assert not site.collector_events.exists()
