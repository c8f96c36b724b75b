"""The collector's SQLite files: how they are opened, what is in the spool's, and what becomes of a damaged one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_collector.logs import EventLog

log = EventLog(__name__)

_FULL: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE"})
_LOG_PAGES: Final = 256
"""The write-ahead log is moved into the file at a megabyte: as much is free again on a full disk when it is."""
SPOOL_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches (
    seq_start INTEGER PRIMARY KEY, seq_end INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
    first_at REAL NOT NULL, last_at REAL NOT NULL, not_before REAL NOT NULL DEFAULT 0, refusals INTEGER NOT NULL DEFAULT 0,
    packed BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, at TEXT NOT NULL, miner_id TEXT, message TEXT,
    details TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""


def open_file(path: Path, *, schema: str = SPOOL_SCHEMA) -> tuple[sqlite3.Connection, Path | None]:
    """The database at `path`, made when there is none. A damaged one is moved aside; the second value says where."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return _opened(path, schema), None
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorname != "SQLITE_CORRUPT":
            raise
        aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
        log.error("file_damaged", path=path, moved_to=aside, reason=str(error))
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}{end}", f"{aside}{end}")
        return _opened(path, schema), aside


def is_full(error: sqlite3.OperationalError) -> bool:
    """Whether this is how SQLite says that the disk takes nothing more."""
    return error.sqlite_errorname in _FULL


def open_to_read(path: Path) -> sqlite3.Connection:
    """For another process than the one that collects."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None)
    connection.execute("SELECT count(*) FROM batches")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. Committed means on the disk: synchronous is FULL."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one that counts
                connection.execute("ROLLBACK")
        raise


def _opened(path: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        os.chmod(path, 0o600)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        connection.executescript(schema)
    except BaseException:
        connection.close()
        raise
    return connection
