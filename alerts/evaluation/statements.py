"""Statements written as SQL, for they move or compare whole tables of counters; PostgreSQL and SQLite differ in two spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models

SLACK_S = 90
"""Firmware counts its uptime coarsely, and readings are stamped at their end; a restart takes longer than that."""

# A miner's start by its newest reading.
_BOOTED = {
    "postgresql": "l.timestamp - make_interval(secs => l.uptime_seconds)",
    "sqlite": "datetime(l.timestamp, '-' || l.uptime_seconds || ' seconds')",
}
_SECONDS = {
    "postgresql": "extract(epoch FROM {later} - {earlier})",
    "sqlite": "(julianday({later}) - julianday({earlier})) * 86400",
}

_ADD_LOOKS = (
    "INSERT INTO alert_looks (miner_id, booted_at)"
    " SELECT l.miner_id, CASE WHEN l.uptime_seconds IS NOT NULL THEN {booted} END FROM miner_telemetry_live l"
    " WHERE l.online AND NOT EXISTS (SELECT 1 FROM alert_looks k WHERE k.miner_id = l.miner_id)"
)
_FILL_BOOTS = (
    "UPDATE alert_looks AS k SET booted_at = {booted} FROM miner_telemetry_live l"
    " WHERE l.miner_id = k.miner_id AND k.booted_at IS NULL AND l.online AND l.uptime_seconds IS NOT NULL"
)
_RESTARTED = (
    "SELECT l.miner_id, {booted} FROM miner_telemetry_live l JOIN alert_looks k ON k.miner_id = l.miner_id"
    f" WHERE l.online AND l.uptime_seconds IS NOT NULL AND {{age}} - l.uptime_seconds > {SLACK_S}"
)
_RENEW_SHARES = (
    "UPDATE alert_looks AS k SET shares_at = l.timestamp, accepted_shares = l.accepted_shares, rejected_shares = l.rejected_shares"
    " FROM miner_telemetry_live l WHERE l.miner_id = k.miner_id AND l.online AND l.accepted_shares IS NOT NULL"
    " AND l.rejected_shares IS NOT NULL AND (k.shares_at IS NULL OR (k.shares_at <= %s AND l.timestamp > k.shares_at))"
)


def add_looks() -> int:
    """A first look at each miner that answered and was never looked at; returns how many."""
    return _run(_ADD_LOOKS) + _run(_FILL_BOOTS)


def restarted() -> list[tuple[int, datetime]]:
    """Miners whose newest reading says that they started later than is known, with that start."""
    with connection.cursor() as cursor:
        cursor.execute(_filled(_RESTARTED))
        return [(pk, _moment(booted)) for pk, booted in cursor.fetchall()]


def renew_shares(before: datetime) -> int:
    """Take over the counters of miners whose last look at them was at or before that time; returns how many."""
    return _run(_RENEW_SHARES, connection.ops.adapt_datetimefield_value(before))


def _run(statement: str, *params: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_filled(statement), params or None)
        return int(cursor.rowcount)


def _filled(statement: str) -> str:
    vendor = connection.vendor
    age = _SECONDS[vendor].format(later="l.timestamp", earlier="k.booted_at")
    return statement.format(booted=_BOOTED[vendor], age=age)


def _moment(value: Any) -> datetime:
    """A time as a driver gives it: SQLite as text in UTC."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(f"{value}+00:00")


def insert_for_miners(
    model: type[models.Model], constants: Mapping[str, Any], miners: Sequence[int], values: Sequence[float | None]
) -> None:
    """One row a miner with its value and the same `constants`: a site that goes dark is tens of thousands of them in one minute."""
    names = ("miner_id", "value", *constants)
    fields = {field.attname: field for field in model._meta.local_concrete_fields}
    given = [fields[name].get_db_prep_save(value, connection) for name, value in constants.items()]
    into = f"INSERT INTO {model._meta.db_table} ({', '.join(names)})"
    marks = ", ".join(["%s"] * len(constants))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            select = f"SELECT miner, value, {marks} FROM unnest(%s::bigint[], %s::float8[]) AS fallen(miner, value)"
            cursor.execute(f"{into} {select}", [*given, list(miners), list(values)])
        else:
            rows = [(miner, value, *given) for miner, value in zip(miners, values, strict=True)]
            cursor.executemany(f"{into} VALUES (%s, %s, {marks})", rows)
