"""One binary COPY into a temporary table, then a handful of set operations: the database never sees a row at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any
from zlib import crc32

from django.db import IntegrityError, OperationalError, connection, transaction

from miners.models import Miner
from telemetry import partitions
from telemetry.models import MinerTelemetryDetail, MinerTelemetryHistory, MinerTelemetryLive
from telemetry.storage import columns
from telemetry.storage.base import Batch, Stored
from telemetry.storage.binary_copy import FIXED, as_parameter, divide, encode, time_value

SITE_LOCK_TIMEOUT_S = 10.0
SITE_LOCK_PAUSE_S = (0.002, 0.012)
COPY_BUFFER_BYTES = 1 << 20
SEPARATOR = "\x1f"
"""A character that no collector's miner has in its name."""
MINER_KEYS = """
    SELECT string_agg(miner_id, %(separator)s), string_agg(id::text, ' ') FROM miners_miner
    WHERE site_id = %(site)s AND miner_id = ANY(string_to_array(%(names)s, %(separator)s))"""
CHECK_VIOLATION = "23514"
"""What PostgreSQL answers when no partition takes a row."""


class PostgresqlStorage:
    def stored_time(self, moment: datetime) -> int:
        return time_value(moment)

    def stored_lines(self, lines: bytes) -> list[bytes]:
        return lines.split(b"\n")[:-1]

    def miner_keys(self, site_id: int, miner_ids: Sequence[str]) -> dict[str, int]:
        """Names go and come in one text each, which costs the driver a fraction of what thousands of values cost."""
        names = SEPARATOR.join(miner_ids)
        if names.count(SEPARATOR) != len(miner_ids) - 1:
            return dict(Miner.objects.filter(site=site_id, miner_id__in=list(miner_ids)).values_list("miner_id", "pk"))
        with connection.cursor() as cursor:
            cursor.execute(MINER_KEYS, {"site": site_id, "names": names, "separator": SEPARATOR})
            found, keys = cursor.fetchone()
        return dict(zip(found.split(SEPARATOR), map(int, keys.split()), strict=True)) if found else {}

    def store(self, batch: Batch) -> Stored:
        if not batch.miners:
            return Stored(appended=0, live_inserted=0, live_updated=0)
        staging = _staging()
        varying, same = divide(batch.columns)
        names, data = encode(varying, kinds=staging.kinds)
        parameters = {name: as_parameter(value, staging.kinds[name]) for name, value in same.items()}
        parameters |= {"site_id": batch.site_id, "received_at": batch.received_at, "source": batch.source}
        statements = Statements(staging, same=parameters)
        miners = batch.miners
        with connection.cursor() as cursor:
            _wait_for_site(cursor, batch.site_id)
            cursor.execute(staging.create)
            cursor.execute(staging.clear)
            copy = f"COPY {staging.table} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
            with connection.wrap_database_errors:  # psycopg2's own method: Django does not wrap what it raises
                cursor.copy_expert(copy, BytesIO(data), COPY_BUFFER_BYTES)
            cursor.execute(statements.move_live, parameters)
            moved, inserted = cursor.rowcount, 0
            if moved < miners:
                cursor.execute(statements.insert_live, parameters)
                inserted = cursor.rowcount
            cursor.execute(statements.move_detail, parameters)
            if cursor.rowcount < miners:
                cursor.execute(statements.insert_detail, parameters)
            appended = _append_history(cursor, statements, parameters, all_new=moved == len(batch.columns["miner_id"]))
        return Stored(appended=appended, live_inserted=inserted, live_updated=moved)

    def take_turns(self, name: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])

    def make_room(self, refusal: IntegrityError, timestamps: Iterable[datetime]) -> bool:
        if getattr(refusal.__cause__, "pgcode", None) != CHECK_VIOLATION:
            return False
        # None is made when another upload of the same day was faster.
        partitions.ensure_days(partitions.HISTORY, {moment.astimezone(UTC).date() for moment in timestamps})
        return True


def _wait_for_site(cursor: Any, site_id: int) -> None:
    """Writers of one site take turns, so no two of them can wait for each other's miners.

    Asked again and again instead of waited for in the server: a waiting statement keeps its snapshot, and with a few of them PostgreSQL
    could not clear away old versions of the live rows, which would no longer fit on their pages.
    """
    deadline = time.monotonic() + SITE_LOCK_TIMEOUT_S
    while True:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"readings of site {site_id}"])
        if cursor.fetchone()[0]:
            return
        if time.monotonic() > deadline:
            raise OperationalError(f"another upload of the site did not end within {SITE_LOCK_TIMEOUT_S:g} s")
        time.sleep(random.uniform(*SITE_LOCK_PAUSE_S))


def _append_history(cursor: Any, statements: Statements, parameters: dict[str, Any], *, all_new: bool) -> int:
    """The rows of history that were not there. Expecting conflicts doubles the work, so none is expected where every reading was news."""
    if all_new:
        with suppress(IntegrityError), transaction.atomic():
            cursor.execute(statements.append_history, parameters)
            return int(cursor.rowcount)
    cursor.execute(statements.append_missing_history, parameters)
    return int(cursor.rowcount)


class Staging:
    """The temporary table of one connection: every column of a batch, those of fixed size first, which are faster to find in a row."""

    def __init__(self) -> None:
        kinds = dict.fromkeys(columns.FLAGS, "boolean") | _kinds()
        self.kinds = dict(sorted(kinds.items(), key=lambda item: item[1] not in FIXED))
        definition = ", ".join(f"{name} {kind}" for name, kind in self.kinds.items())
        # The name changes with the columns: a pooled server connection may outlive a release.
        self.table = f"telemetry_staging_{crc32(definition.encode()):08x}"
        self.create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.table} ({definition}) ON COMMIT DELETE ROWS"
        self.clear = f"DELETE FROM {self.table}"


class Statements:
    """What moves a batch from the staging into its places; columns that are the `same` in all its rows are parameters."""

    def __init__(self, staging: Staging, *, same: Collection[str]) -> None:
        self.table = staging.table
        kinds = staging.kinds
        self.values = {name: f"%({name})s::{kinds[name]}" if name in same else f"s.{name}" for name in kinds}
        self.values |= {name: f"%({name})s" for name in columns.PER_BATCH}
        history, live = "miner_telemetry_history", columns.LIVE + columns.PER_BATCH
        self.append_history = self._select_into(history, columns.HISTORY)
        self.append_missing_history = f"{self.append_history} ON CONFLICT DO NOTHING"
        self.move_live = self._update("miner_telemetry_live", live, which="newest")
        self.insert_live = self._insert("miner_telemetry_live", live, which="newest")
        self.move_detail = self._update("miner_telemetry_detail", columns.DETAIL, which="listed")
        self.insert_detail = self._insert("miner_telemetry_detail", columns.DETAIL, which="listed")

    def _select_into(self, table: str, names: Sequence[str]) -> str:
        values = ", ".join(self.values[name] for name in names)
        return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {self.table} AS s"

    def _update(self, table: str, names: Sequence[str], *, which: str) -> str:
        moves = {name: columns.moved(name, new=self.values[name], known=f"known.{name}") for name in names if name != "miner_id"}
        assignments = ", ".join(f"{name} = {value}" for name, value in moves.items())
        return (
            f"UPDATE {table} AS known SET {assignments} FROM {self.table} AS s"
            f" WHERE {self.values[which]} AND known.miner_id = s.miner_id AND known.timestamp < {self.values['timestamp']}"
        )

    def _insert(self, table: str, names: Sequence[str], *, which: str) -> str:
        known = f"SELECT 1 FROM {table} AS known WHERE known.miner_id = s.miner_id"
        return f"{self._select_into(table, names)} WHERE {self.values[which]} AND NOT EXISTS ({known})"


def _kinds() -> dict[str, str]:
    """SQL type by column of a batch; lengths of texts are not checked a second time."""
    fields = [
        field for model in (MinerTelemetryDetail, MinerTelemetryLive, MinerTelemetryHistory) for field in model._meta.local_concrete_fields
    ]
    types = {field.attname: field.db_type(connection) or "text" for field in fields if field.attname not in columns.PER_BATCH}
    return {name: kind if kind in FIXED else "text" for name, kind in types.items()}


@cache
def _staging() -> Staging:
    return Staging()
