"""Where batches of readings are written: one interface, one implementation a database engine."""

from __future__ import annotations

from django.db import connection

from telemetry.storage.base import Batch, Storage, Stored
from telemetry.storage.postgresql import PostgresqlStorage
from telemetry.storage.sqlite import SqliteStorage

__all__ = ["Batch", "Storage", "Stored", "current"]


def current() -> Storage:
    """The storage of the default database."""
    return PostgresqlStorage() if connection.vendor == "postgresql" else SqliteStorage()
