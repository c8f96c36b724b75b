"""The commands of "Backup and restore" in docs/operations.md: what was acknowledged before the backup is there after the restore."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.servers import PostgreSQLServer
from tests.web import ROOT, WebServer

RUNBOOK = (ROOT / "docs" / "operations.md").read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
READINGS = 30


def environment(folder: Path, database: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database, "REDIS_URL": "", "HASHINSIGHT_DATA_DIR": str(folder / "data"), "WEB_CONCURRENCY": "1"}


def manage(settings: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def upload(web: WebServer, key: str, *, first: int = 0) -> dict:
    now = datetime.now(UTC)
    records = [
        {"miner_id": f"m{number}", "timestamp": (now + timedelta(seconds=first)).isoformat(), "hashrate_ghs": 95_000.0, "online": True}
        for number in range(READINGS)
    ]
    headers = {"X-Collector-Key": key, "Content-Encoding": "gzip"}
    return requests.post(
        f"{web.url}/api/collector/upload", data=gzip.compress(json.dumps(records).encode()), headers=headers, timeout=20
    ).json()


def new_key(settings: dict[str, str]) -> str:
    return manage(settings, "create_collector_key", "--site", "north", "--create-site", "--name", "test").strip()


def started(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def command(program: str) -> list[str]:
    """The runbook's line that runs `program`, without `sudo -u postgres`."""
    line = next(line for line in RUNBOOK.splitlines() if re.match(rf"(sudo -u \w+ )?{re.escape(program)}", line))
    return shlex.split(re.sub(r"^sudo -u \w+ ", "", line), comments=True)


@pytest.mark.postgresql
def test_postgresql_is_dumped_while_everything_runs_and_restored_into_a_new_database(
    postgresql_server: PostgreSQLServer, server_directory: Path
):
    postgresql_server.execute("CREATE DATABASE hashinsight")
    settings = environment(server_directory, postgresql_server.url("hashinsight"))
    manage(settings, "migrate", "--verbosity", "0")
    key = new_key(settings)
    dump = server_directory / "hashinsight.dump"
    with WebServer(started(server_directory, "before"), settings) as web:
        assert upload(web, key)["inserted"] == READINGS
        run(postgresql_server, command("pg_dump"), dump=dump, database="hashinsight")
    postgresql_server.execute("CREATE DATABASE hashinsight_restored")
    run(postgresql_server, command("pg_restore"), dump=dump, database="hashinsight_restored")
    settings["DATABASE_URL"] = postgresql_server.url("hashinsight_restored")
    with WebServer(started(server_directory, "after"), settings) as web:
        status = requests.get(f"{web.url}/api/collector/status", headers={"X-Collector-Key": key}, timeout=20).json()
        assert (status["miners_total"], status["online"]) == (READINGS, READINGS)
        assert upload(web, key, first=1)["updated"] == READINGS
        assert requests.get(f"{web.url}/health/ready", timeout=20).json()["checks"]["migrations"] == "ok"


def run(server: PostgreSQLServer, words: list[str], *, dump: Path, database: str) -> None:
    """The runbook's command against the test's server, which is reached by its address."""
    places = {"/var/backups/hashinsight.dump": str(dump), "--file=/var/backups/hashinsight.dump": f"--file={dump}"}
    program, *options = [places.get(word, word) for word in words]
    named = [f"--dbname={server.url(database)}" if word in (database, f"--dbname={database}") else word for word in options]
    done = subprocess.run([server.programs / program, *named], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.once
def test_sqlite_is_copied_while_everything_runs_and_put_in_its_place(server_directory: Path, migrated_sqlite: Path):
    settings = environment(server_directory, "")
    database = server_directory / "data" / "hashinsight.sqlite3"
    database.parent.mkdir(exist_ok=True)
    shutil.copy(migrated_sqlite, database)
    key = new_key(settings)
    with WebServer(started(server_directory, "before"), settings) as web:
        assert upload(web, key)["inserted"] == READINGS
        words = command(".venv/bin/python")
        subprocess.run([sys.executable, *words[1:]], cwd=server_directory, check=True, timeout=60)
        assert upload(web, key, first=1)["updated"] == READINGS
    for name in (database, *database.parent.glob("hashinsight.sqlite3-*")):
        name.unlink()
    shutil.copy(server_directory / "backup.sqlite3", database)
    with WebServer(started(server_directory, "after"), settings) as web:
        status = requests.get(f"{web.url}/api/collector/status", headers={"X-Collector-Key": key}, timeout=20).json()
        assert status["miners_total"] == READINGS
        assert upload(web, key, first=2)["updated"] == READINGS
