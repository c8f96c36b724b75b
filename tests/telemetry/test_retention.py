from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from alerts.models import Alert, AlertEvent, AlertRule
from commands.models import CommandBatch, MinerCommand
from miners.models import Miner
from telemetry import partitions
from telemetry.models import CollectorUploadLog, MinerRollup1d, MinerRollup1h, MinerRollup5m, MinerTelemetryHistory, SiteRollup5m
from telemetry.retention import prune
from telemetry.rollups import roll_up
from tests.telemetry.farm import NOON, an_upload, make_site, reading, store
from tests.telemetry.test_partitions import clean_partitions, execute  # noqa: F401  # a fixture

pytestmark = pytest.mark.usefixtures("pruned_database")


@pytest.fixture
def pruned_database(request, transactional_db):
    """A database that is really committed to: partitions are dropped outside of transactions."""
    if partitions.supported():
        request.getfixturevalue("clean_partitions")


def days(number):
    return timedelta(days=number)


def history_days():
    return sorted({(NOON - row.timestamp).days for row in MinerTelemetryHistory.objects.all()}, reverse=True)


def old_readings(site, *ages):
    for age in ages:
        store(site, reading(at=NOON - days(age)))


def test_readings_beyond_their_limit_go_and_younger_ones_stay():
    old_readings(make_site(), 40, 31, 29, 0)
    report = prune(now=NOON, history_days=30)
    assert history_days() == [29, 0]
    assert report.rows["miner_telemetry_history"] == 2


def test_a_day_is_kept_until_all_of_it_is_beyond_the_limit():
    site = make_site()
    store(site, reading(at=NOON - days(30) - timedelta(hours=1)))
    prune(now=NOON, history_days=30)
    assert MinerTelemetryHistory.objects.count() == 1


def test_a_dry_run_counts_and_removes_nothing():
    old_readings(make_site(), 40, 31, 0)
    report = prune(now=NOON, history_days=30, dry_run=True)
    assert report.rows["miner_telemetry_history"] == 2
    assert history_days() == [40, 31, 0]


def test_pruning_twice_is_as_good_as_once():
    old_readings(make_site(), 40, 0)
    prune(now=NOON, history_days=30)
    report = prune(now=NOON, history_days=30)
    assert (report.rows["miner_telemetry_history"], report.partitions) == (0, [])
    assert history_days() == [0]


def test_the_settings_are_the_limits_unless_told_otherwise(settings):
    settings.RETENTION_HISTORY_DAYS = 10
    old_readings(make_site(), 11, 9)
    prune(now=NOON)
    assert history_days() == [9]


def test_readings_are_in_the_roll_ups_before_they_go():
    old_readings(make_site(), 40)
    prune(now=NOON, history_days=30)
    assert (MinerTelemetryHistory.objects.count(), MinerRollup5m.objects.get().samples) == (0, 1)


def test_each_resolution_of_roll_ups_has_its_own_limit_and_days_stay_for_ever():
    old_readings(make_site(), 25)
    roll_up(NOON)
    prune(now=NOON, rollup_5m_days=20, rollup_1h_days=30)
    assert (MinerRollup5m.objects.count(), SiteRollup5m.objects.count(), MinerRollup1h.objects.count()) == (0, 0, 1)
    prune(now=NOON, rollup_5m_days=20, rollup_1h_days=20)
    assert (MinerRollup1h.objects.count(), MinerRollup1d.objects.count()) == (0, 1)


def test_old_upload_logs_go():
    site = make_site()
    store(site, reading(at=NOON - days(8)), upload=an_upload())
    store(site, reading(at=NOON - days(6)), upload=an_upload())
    report = prune(now=NOON, upload_log_days=7)
    assert [row.upload_time for row in CollectorUploadLog.objects.all()] == [NOON - days(6)]
    assert report.rows["collector_upload_logs"] == 1


@pytest.mark.parametrize(("status", "kept"), [("expired", 0), ("cancelled", 0), ("completed", 1), ("failed", 1), ("pending", 1)])
def test_old_commands_go_when_they_were_never_carried_out(status, kept):
    site = make_site()
    miner = Miner.objects.create(site=site, miner_id="m1")
    MinerCommand.objects.create(
        site=site, miner=miner, command="restart", status=status, created_at=NOON - days(31), expires_at=NOON - days(31)
    )
    prune(now=NOON, command_days=30)
    assert MinerCommand.objects.count() == kept


def test_old_batch_goes_with_the_last_of_its_commands():
    site = make_site()
    miner = Miner.objects.create(site=site, miner_id="m1")
    for status in ("expired", "completed"):
        batch = CommandBatch.objects.create(command="restart", created_at=NOON - days(31))
        MinerCommand.objects.create(
            site=site, miner=miner, batch=batch, command="restart", status=status, created_at=NOON - days(31), expires_at=NOON - days(31)
        )
    prune(now=NOON, command_days=30)
    assert [each.status for batch in CommandBatch.objects.all() for each in batch.commands.all()] == ["completed"]


def test_alerts_go_long_after_they_are_over_and_open_ones_never():
    rule = AlertRule.objects.create(slug="for-a-test", kind="disk_low")
    common = {"rule": rule, "scope": "system", "severity": "warning", "opened_at": NOON, "changed_at": NOON, "seen_at": NOON}
    for key, resolved_at in (("old", NOON - days(181)), ("young", NOON - days(179)), ("open", None)):
        alert = Alert.objects.create(scope_key=key, resolved_at=resolved_at, **common)
        AlertEvent.objects.create(alert=alert, at=NOON, kind="opened")
    prune(now=NOON, alert_days=180)
    assert sorted(Alert.objects.values_list("scope_key", flat=True)) == ["open", "young"]
    assert AlertEvent.objects.count() == 2


def test_progress_is_told_by_table():
    old_readings(make_site(), 40, 39)
    seen = []
    prune(now=NOON, history_days=30, progress=lambda *step: seen.append(step))
    assert [step for step in seen if step[0] == "miner_telemetry_history"][-1] == ("miner_telemetry_history", 2, 2)


@pytest.mark.postgresql
def test_whole_days_go_as_partitions():
    old_readings(make_site(), 40, 0)
    report = prune(now=NOON, history_days=30)
    assert report.partitions == ["miner_telemetry_history_20260129"]


@pytest.mark.postgresql
def test_rows_of_a_partition_without_beginning_go_in_steps():
    site, now = make_site(), datetime(2019, 3, 10, 12, 0, tzinfo=UTC)
    store(site, reading(at=now - days(5)))
    execute("ALTER TABLE miner_telemetry_history DETACH PARTITION miner_telemetry_history_20190305")
    until = partitions.midnight(date(2019, 3, 9))
    execute(
        "ALTER TABLE miner_telemetry_history ATTACH PARTITION miner_telemetry_history_20190305 FOR VALUES FROM (MINVALUE) TO (%s)", until
    )
    store(site, reading(at=now - days(2)))
    prune(now=now, history_days=3)
    assert [row.timestamp for row in MinerTelemetryHistory.objects.all()] == [now - days(2)]


def test_the_command_prints_what_it_removed(capsys):
    site = make_site()
    now = timezone.now()
    for age in (12, 1):
        store(site, reading(at=now - days(age)), upload=an_upload())
    call_command("prune_telemetry", "--history-days", "10", "--upload-log-days", "10")
    out = capsys.readouterr().out
    assert "miner_telemetry_history: removed 1 rows" in out
    assert "collector_upload_logs: removed 1 rows" in out
    assert MinerTelemetryHistory.objects.count() == 1


def test_the_command_shows_counts_in_a_dry_run(capsys):
    store(make_site(), reading(at=timezone.now() - days(12)))
    call_command("prune_telemetry", "--history-days", "10", "--dry-run")
    assert "miner_telemetry_history: would remove 1 rows" in capsys.readouterr().out
    assert MinerTelemetryHistory.objects.count() == 1


def test_the_command_says_what_is_wrong_with_a_limit():
    with pytest.raises(CommandError, match="'soon' is not a number of days"):
        call_command("prune_telemetry", "--history-days", "soon")
