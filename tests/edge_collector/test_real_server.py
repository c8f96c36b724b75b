"""The real program and the real server together: heartbeats, new keys, what was dropped, and a program that begins anew."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from sites.keys import ask_for_replacement
from sites.models import Collector, CollectorEvent, CollectorKey
from telemetry import sequence_gaps
from telemetry.models import CollectorSequence, CollectorUploadLog, TelemetryGap
from tests.edge_collector.fault_proxy import NOTHING_ARRIVES, FaultProxy
from tests.edge_collector.program import (
    answered,
    assert_history_is_what_was_answered,
    configure,
    send_what_is_left,
    stored,
)
from tests.servers import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once, pytest.mark.xdist_group("real server")]


def wait_for(condition, what):
    """`condition` asks the database, which the server writes to."""
    wait_until(condition, timeout_s=60, what=what)
    connection.close()


def test_heartbeats_tell_how_the_collector_is(site, web, fleet, program):
    configure(program, site, url=web.url)
    program.start("run")
    wait_for(lambda: Collector.objects.filter(miners=len(fleet.miners), last_acked_seq__gt=0).exists(), "a heartbeat after a round")

    collector = Collector.objects.get()
    assert (collector.site, collector.device_id, collector.state(timezone.now())) == (site, "pi-1", Collector.State.ONLINE)
    assert collector.version
    assert collector.poll_duration_ms > 0
    assert abs(collector.clock_offset_ms or 0) < 1_000
    program.stop()
    wait_for(lambda: Collector.objects.silent(timezone.now()).exists(), "silence after three intervals")
    assert {"started", "stopped"} <= set(CollectorEvent.objects.values_list("kind", flat=True))


def test_key_is_replaced_while_readings_go_on(site, web, fleet, program):
    configure(program, site, url=web.url)
    old = CollectorKey.objects.get()
    program.start("run")
    wait_for(lambda: CollectorUploadLog.objects.exists(), "an upload")
    ask_for_replacement(old, asked_by="root")

    wait_for(lambda: CollectorUploadLog.objects.exclude(key=old).exists(), "an upload with the new key")

    program.stop()
    old.refresh_from_db()
    new = CollectorKey.objects.get(replaces=old)
    assert new.confirmed_at is not None
    assert old.expires_at <= timezone.now() + timedelta(minutes=10)
    old_is_gone = CollectorKey.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    assert old_is_gone
    program.start("once", "--within", "30")
    assert program.wait() == 0
    assert_history_is_what_was_answered(site, fleet, may_be_missing=program.unread)


def test_what_the_spool_had_no_room_for_is_a_gap_with_exactly_these_readings(site, web, fleet, program):
    with FaultProxy(web.port, seed=1, faults=NOTHING_ARRIVES) as proxy:
        configure(program, site, url=proxy.url, spool={"max_mb": 0.05})
        proxy.badness = 1.0
        program.start("run")
        wait_until(lambda: sum("spool_dropped" in line for line in program.lines) > 5, timeout_s=90, what="readings dropped")
        program.stop()
        proxy.badness = 0
        program.start("run")
        wait_for(lambda: CollectorEvent.objects.filter(kind="spool_dropped").exists(), "word of what was dropped")
        wait_for(lambda: Collector.objects.filter(spool_records__lte=len(fleet.miners)).exists(), "an empty spool")
        program.stop()
        send_what_is_left(program, proxy)

    sequence_gaps.update(timezone.now())
    missing = answered(fleet) - stored(site).keys()
    gaps = TelemetryGap.objects.filter(collector__isnull=False)
    assert set(gaps.values_list("cause", flat=True)) == {"dropped"}
    assert sum(gaps.values_list("records", flat=True)) == len(missing) - program.unread
    assert missing


def test_program_that_lost_its_disk_begins_at_one_and_nothing_is_missed(site, web, fleet, program, tmp_path):
    configure(program, site, url=web.url)
    for _ in range(2):
        program.start("once", "--within", "30")
        assert program.wait() == 0
        shutil.rmtree(tmp_path / "data")
    sequence_gaps.update(timezone.now())

    assert CollectorSequence.objects.get().epoch == 2
    assert not TelemetryGap.objects.filter(collector__isnull=False).exists()
