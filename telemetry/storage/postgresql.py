"""One binary COPY into a temporary table, then a handful of set operations: the database never sees a row at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any
from zlib import crc32

from django.db import IntegrityError, OperationalError, connection

from telemetry import partitions
from telemetry.models import MinerTelemetryDetail, MinerTelemetryLive
from telemetry.storage import columns
from telemetry.storage.base import Batch, Stored
from telemetry.storage.binary_copy import FIXED, encode, time_value

SITE_LOCK_TIMEOUT_S = 10.0
SITE_LOCK_PAUSE_S = (0.002, 0.012)
COPY_BUFFER_BYTES = 1 << 20
CHECK_VIOLATION = "23514"
"""What PostgreSQL answers when no partition takes a row."""


class PostgresqlStorage:
    def stored_time(self, moment: datetime) -> int:
        return time_value(moment)

    def miner_keys(self, site_id: int, miner_ids: Sequence[str]) -> dict[str, int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT miner_id, id FROM miners_miner WHERE site_id = %s AND miner_id = ANY(%s)", [site_id, list(miner_ids)])
            return dict(cursor.fetchall())

    def store(self, batch: Batch) -> Stored:
        if not batch.miners:
            return Stored(appended=0, live_inserted=0, live_updated=0)
        staging = _staging()
        names, data = encode(batch.columns, kinds=staging.kinds)
        constants: dict[str, Any] = {"site_id": batch.site_id, "received_at": batch.received_at, "source": batch.source}
        miners = batch.miners
        with connection.cursor() as cursor:
            _wait_for_site(cursor, batch.site_id)
            cursor.execute(staging.create)
            cursor.execute(staging.clear)
            copy = f"COPY {staging.table} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
            with connection.wrap_database_errors:  # psycopg2's own method: Django does not wrap what it raises
                cursor.copy_expert(copy, BytesIO(data), COPY_BUFFER_BYTES)
            cursor.execute(staging.append_history)
            appended = cursor.rowcount
            cursor.execute(staging.move_live, constants)
            moved, inserted = cursor.rowcount, 0
            if moved < miners:
                cursor.execute(staging.insert_live, constants)
                inserted = cursor.rowcount
            cursor.execute(staging.move_detail)
            if cursor.rowcount < miners:
                cursor.execute(staging.insert_detail)
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


class Staging:
    """The temporary table of one connection and the statements that read from it."""

    def __init__(self) -> None:
        self.kinds = dict.fromkeys(columns.FLAGS, "boolean") | _kinds()
        definition = ", ".join(f"{name} {kind}" for name, kind in self.kinds.items())
        # The name changes with the columns: a pooled server connection may outlive a release.
        self.table = f"telemetry_staging_{crc32(definition.encode()):08x}"
        self.create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.table} ({definition}) ON COMMIT DELETE ROWS"
        self.clear = f"DELETE FROM {self.table}"
        self._statements()

    def _statements(self) -> None:
        history = ", ".join(columns.HISTORY)
        table = "miner_telemetry_history"
        self.append_history = f"INSERT INTO {table} ({history}) SELECT {history} FROM {self.table} ON CONFLICT DO NOTHING"
        live = columns.LIVE
        per_batch = {name: f"%({name})s" for name in columns.PER_BATCH}
        self.move_live = self._update("miner_telemetry_live", live, per_batch, "s.newest")
        self.insert_live = self._insert("miner_telemetry_live", live, per_batch, "s.newest")
        detail = columns.DETAIL
        self.move_detail = self._update("miner_telemetry_detail", detail, {}, "s.listed")
        self.insert_detail = self._insert("miner_telemetry_detail", detail, {}, "s.listed")

    def _update(self, table: str, names: Sequence[str], constants: dict[str, str], which: str) -> str:
        moves = {name: columns.moved(name, new="s", known="known") for name in names if name != "miner_id"} | constants
        assignments = ", ".join(f"{name} = {value}" for name, value in moves.items())
        return (
            f"UPDATE {table} AS known SET {assignments} FROM {self.table} AS s"
            f" WHERE {which} AND known.miner_id = s.miner_id AND known.timestamp < s.timestamp"
        )

    def _insert(self, table: str, names: Sequence[str], constants: dict[str, str], which: str) -> str:
        values = [f"s.{name}" for name in names] + list(constants.values())
        return (
            f"INSERT INTO {table} ({', '.join([*names, *constants])}) SELECT {', '.join(values)} FROM {self.table} AS s"
            f" WHERE {which} AND NOT EXISTS (SELECT 1 FROM {table} AS known WHERE known.miner_id = s.miner_id)"
        )


def _kinds() -> dict[str, str]:
    """SQL type by column of a batch; lengths of texts are not checked a second time."""
    fields = [field for model in (MinerTelemetryDetail, MinerTelemetryLive) for field in model._meta.local_concrete_fields]
    types = {field.attname: field.db_type(connection) or "text" for field in fields if field.attname not in columns.PER_BATCH}
    return {name: kind if kind in FIXED else "text" for name, kind in types.items()}


@cache
def _staging() -> Staging:
    return Staging()
