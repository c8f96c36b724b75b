from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from hashinsight import up
from telemetry import partitions
from telemetry.models import MinerTelemetryHistory
from tests.telemetry.farm import NOON, make_site, minute, reading, store, wait_until

pytestmark = pytest.mark.postgresql
HISTORY = partitions.HISTORY


def execute(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def names(table=HISTORY):
    return [partition.name for partition in partitions.existing(table)]


@pytest.fixture
def clean_partitions(transactional_db):
    """Partitions outlive the truncation after a test; those a test made are dropped."""
    before = {table: names(table) for table in partitions.PARTITIONED}
    yield
    connection.close()
    for table, known in before.items():
        for partition in [*partitions.existing(table), *partitions._detached(table)]:
            if partition.name not in known:
                partitions.drop(table, partition)


@pytest.fixture
def another_session():
    """A second connection to the test's database, of a client that does what it likes."""
    session = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None})
    yield session
    session.close()


@pytest.mark.django_db
def test_the_days_ahead_are_made_once():
    now = datetime(2031, 5, 1, 9, 0, tzinfo=UTC)
    made = partitions.ensure(now)
    assert "miner_telemetry_history_20310430" in made
    assert "miner_telemetry_history_20310508" in made
    assert partitions.ensure(now) == []


@pytest.mark.django_db
def test_an_upload_of_a_day_without_partition_makes_it():
    at = datetime(2033, 1, 2, 3, 4, tzinfo=UTC)
    store(make_site(), reading(at=at), reading(at=at - timedelta(days=1)))
    assert MinerTelemetryHistory.objects.count() == 2
    assert {"miner_telemetry_history_20330101", "miner_telemetry_history_20330102"} <= set(names())


@pytest.mark.django_db
def test_a_query_of_one_day_reads_one_partition():
    store(make_site(), reading())
    with connection.cursor() as cursor:
        cursor.execute(
            "EXPLAIN SELECT * FROM miner_telemetry_history WHERE miner_id = 1 AND timestamp >= %s AND timestamp < %s", [NOON, minute(60)]
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count("miner_telemetry_history_2") <= 3
    assert "miner_telemetry_history_20260310" in plan


@pytest.mark.django_db
def test_the_hot_tables_leave_half_of_each_page_free():
    options = dict(
        execute("SELECT relname, array_to_string(reloptions, ' ') FROM pg_class WHERE relname LIKE 'miner_telemetry_%%' AND relkind = 'r'")
    )
    assert "fillfactor=45" in options["miner_telemetry_live"]
    assert "fillfactor=45" in options["miner_telemetry_detail"]


@pytest.mark.django_db
def test_history_is_found_by_miner_and_by_time():
    indexes = [definition for (definition,) in execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", HISTORY)]
    assert any('btree (miner_id, "timestamp")' in definition for definition in indexes)
    assert any('brin ("timestamp")' in definition for definition in indexes)


def test_an_outdated_partition_is_dropped_and_the_rest_stays(clean_partitions):
    site = make_site()
    store(site, reading(at=NOON), reading(at=NOON + timedelta(days=1)), at=NOON + timedelta(days=1))
    outdated = partitions.outdated(HISTORY, partitions.midnight(date(2026, 3, 11)))
    assert [partition.name for partition in outdated] == ["miner_telemetry_history_20260310"]
    partitions.drop(HISTORY, outdated[0])
    assert [row.timestamp for row in MinerTelemetryHistory.objects.all()] == [NOON + timedelta(days=1)]
    assert not execute("SELECT 1 FROM pg_class WHERE relname = 'miner_telemetry_history_20260310'")


def test_dropping_goes_on_where_a_killed_run_had_detached(clean_partitions):
    store(make_site(), reading())
    execute("ALTER TABLE miner_telemetry_history DETACH PARTITION miner_telemetry_history_20260310")
    (left,) = partitions.outdated(HISTORY, partitions.midnight(date(2026, 3, 11)))
    assert not left.attached
    partitions.drop(HISTORY, left)
    assert partitions.outdated(HISTORY, partitions.midnight(date(2026, 3, 11))) == []


def interrupted_detach(reader):
    """Leave the tests' day half detached, as a run does that was killed while it waited for `reader`."""
    with reader.cursor() as cursor:
        cursor.execute("BEGIN; SELECT * FROM miner_telemetry_history")
    execute("SET statement_timeout = 300")
    with pytest.raises(OperationalError):
        execute("ALTER TABLE miner_telemetry_history DETACH PARTITION miner_telemetry_history_20260310 CONCURRENTLY")
    execute("SET statement_timeout = 30000")
    (partition,) = [item for item in partitions.existing(HISTORY) if item.name == "miner_telemetry_history_20260310"]
    assert partition.pending


def test_dropping_goes_on_where_a_killed_run_was_detaching(clean_partitions, another_session):
    store(make_site(), reading())
    interrupted_detach(another_session)
    another_session.rollback()
    (pending,) = partitions.outdated(HISTORY, partitions.midnight(date(2026, 3, 11)))
    partitions.drop(HISTORY, pending)
    assert MinerTelemetryHistory.objects.count() == 0


def test_late_data_for_a_day_that_is_half_detached_is_stored(clean_partitions, another_session):
    site = make_site()
    store(site, reading())
    interrupted_detach(another_session)
    another_session.rollback()
    store(site, reading(at=minute(1)))
    assert MinerTelemetryHistory.objects.count() == 2


def test_late_data_for_a_day_that_was_detached_before_a_column_came_is_stored(clean_partitions):
    site = make_site()
    store(site, reading())
    execute("ALTER TABLE miner_telemetry_history DETACH PARTITION miner_telemetry_history_20260310")
    execute("ALTER TABLE miner_telemetry_history_20260310 DROP COLUMN fan_speed_avg")
    store(site, reading(at=minute(1), fan_speeds=[5000, 6000]))
    assert list(MinerTelemetryHistory.objects.order_by("timestamp").values_list("fan_speed_avg", flat=True)) == [None, 5500.0]


def test_an_upload_does_not_wait_for_the_drop_of_another_day(clean_partitions, another_session):
    site = make_site()
    store(site, reading(at=NOON), reading(at=NOON + timedelta(days=1)), at=NOON + timedelta(days=1))
    with another_session.cursor() as cursor:
        cursor.execute("BEGIN; SELECT * FROM miner_telemetry_history")  # a reader that the drop must wait for
    (outdated,) = partitions.outdated(HISTORY, partitions.midnight(date(2026, 3, 11)))
    dropping = threading.Thread(target=_drop_in_thread, args=(outdated,))
    dropping.start()
    wait_until(lambda: any(partition.pending for partition in partitions.existing(HISTORY)))
    started = time.perf_counter()
    store(site, reading(at=NOON + timedelta(days=1, minutes=1)))
    waited = time.perf_counter() - started
    another_session.rollback()
    dropping.join(timeout=30)
    assert waited < 1.0
    assert partitions.outdated(HISTORY, partitions.midnight(date(2026, 3, 11))) == []


def _drop_in_thread(partition):
    try:
        partitions.drop(HISTORY, partition)
    finally:
        connection.close()


def test_only_one_session_drops_at_a_time(transactional_db, another_session):
    with another_session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [f"dropping of {HISTORY}"])
    with partitions.sole_dropper(HISTORY) as mine:
        assert not mine
    another_session.rollback()
    another_session.close()
    wait_until(lambda: _is_sole())


def _is_sole():
    with partitions.sole_dropper(HISTORY) as mine:
        return mine


def plain_history():
    """History as a release without partitions left it."""
    execute("DROP TABLE miner_telemetry_history")
    execute("CREATE TABLE miner_telemetry_history (LIKE miner_telemetry_history_template INCLUDING DEFAULTS)")
    execute("ALTER TABLE miner_telemetry_history ADD PRIMARY KEY (miner_id, timestamp)")


@pytest.fixture
def history_without_partitions(django_db_blocker, db):
    execute("CREATE TABLE miner_telemetry_history_template (LIKE miner_telemetry_history INCLUDING DEFAULTS)")
    plain_history()


def test_a_plain_history_becomes_the_first_partition(history_without_partitions):
    site = make_site()
    store(site, reading(at=NOON), reading(at=minute(1)))
    assert partitions.partition_table(HISTORY, now=NOON)
    first = partitions.existing(HISTORY)[0]
    assert (first.name, first.lower, first.upper) == ("miner_telemetry_history_before", None, partitions.midnight(date(2026, 3, 11)))
    assert MinerTelemetryHistory.objects.count() == 2
    report = store(site, reading(at=minute(1)), reading(at=minute(2)), reading(at=NOON + timedelta(days=1)), at=NOON + timedelta(days=1))
    assert report.duplicates == 1
    assert MinerTelemetryHistory.objects.count() == 4


def test_an_empty_plain_history_is_replaced(history_without_partitions):
    assert partitions.partition_table(HISTORY, now=NOON)
    assert "miner_telemetry_history_20260310" in names()
    assert not partitions.partition_table(HISTORY, now=NOON)


def test_ensure_leaves_a_plain_table_alone(history_without_partitions):
    assert [name for name in partitions.ensure(NOON) if name.startswith(HISTORY)] == []
    store(make_site(), reading())
    assert MinerTelemetryHistory.objects.count() == 1


def test_starting_the_server_makes_the_partitions_of_the_next_days(settings, clean_partitions):
    settings.DEBUG = True  # otherwise a start collects static files as well
    today = timezone.now().astimezone(UTC).date()
    days_ahead = [f"{HISTORY}_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(3)]
    for name in days_ahead:
        execute(f"DROP TABLE IF EXISTS {name}")
    up.prepare(lambda line: None)
    assert set(days_ahead) <= set(names())


def test_the_command_partitions_what_is_plain(history_without_partitions, capsys):
    call_command("ensure_partitions")
    assert "miner_telemetry_history: is partitioned now" in capsys.readouterr().out


def test_two_uploads_that_need_the_same_new_day_both_succeed(clean_partitions):
    at = datetime(2034, 1, 2, 3, 4, tzinfo=UTC)
    sites = [make_site("north"), make_site("south")]
    barrier = threading.Barrier(2)

    def upload(site):
        barrier.wait(timeout=10)
        try:
            return store(site, reading(at=at)).processed
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(upload, sites)) == [1, 1]
    assert MinerTelemetryHistory.objects.count() == 2
