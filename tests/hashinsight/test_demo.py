"""`manage.py demo` with real processes, on SQLite as always."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from hashinsight.demo.world import World
from tests.hashinsight.supervised import ROOT, Supervised, kill
from tests.servers import wait_until

pytestmark = pytest.mark.once
FLEET = ("hashinsight.demo.simulator", "hashinsight.demo.collector")
MINERS = 20
START_S = 110.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def environment(data: Path) -> dict[str, str]:
    return {"HASHINSIGHT_ENV_FILE": os.devnull, "HASHINSIGHT_DATA_DIR": str(data), "PATH": os.environ["PATH"]}


def demo(environment: dict[str, str], data: Path, *arguments: str) -> Supervised:
    return Supervised("demo", environment, data, "--miners", str(MINERS), *arguments, web_workers=1)


def wait_for_login(running: Supervised) -> str:
    """The password, once it is printed."""
    wait_until(lambda: any(line.startswith("Login:") for line in running.lines()), timeout_s=START_S, what="the login")
    address, login = running.lines()[-2:]
    assert address == f"Address:  {running.url}"
    assert login.split()[:2] == ["Login:", "operator"]
    return login.split()[2]


def test_farm_is_shown_after_interrupted_starts_survives_kills_and_keeps_its_login(environment: dict[str, str], data: Path) -> None:
    assert (
        interrupt_early(environment, data, signal.SIGINT) == "CommandError: Stopped before it was ready. scripts/demo goes on from there."
    )
    interrupt_early(environment, data, signal.SIGKILL)
    with demo(environment, data) as running:
        password = wait_for_login(running)
        whole = {("north", "poller"): 12, ("fjord", "collector"): 8}
        wait_until(lambda: online(data) == whole, timeout_s=30, what="the whole fleet")
        with signed_in(running, password) as session:
            assert session.get(f"{running.url}admin/", timeout=30).status_code == 200
        kill(running.leaders("qcluster")[0])
        running.wait_until_complete(*FLEET)
        kill(running.members("qcluster")[0])
        running.wait_until_complete(*FLEET)
        kill(running.leaders("gunicorn")[0])
        running.wait_until_complete(*FLEET)
        for name in FLEET:
            kill(running.leaders(name)[0])
            running.wait_until_complete(*FLEET)
        assert polled_twice(data) < 3
        assert running.interrupt() == 0
        assert running.processes() == []
    with demo(environment, data) as again:
        assert wait_for_login(again) == password


def interrupt_early(environment: dict[str, str], data: Path, number: signal.Signals) -> str:
    """End a start while it prepares the database; returns its last line."""
    with demo(environment, data) as early:
        wait_until(lambda: any(line.startswith("Migrating") for line in early.lines()), timeout_s=30, what="the migration")
        assert early.supervisor
        early.supervisor.send_signal(number)
        early.supervisor.wait(30)
        return early.lines()[-1]


def test_fresh_start_forgets_database_and_login_but_nothing_else(data: Path) -> None:
    data.mkdir()
    world = World(data)
    password, secret = world.password(), world.environment()["SECRET_KEY"]
    for name in ("hashinsight.sqlite3", "hashinsight.sqlite3-wal", "notes.txt"):
        (data / name).touch()
    world.erase()
    assert sorted(path.name for path in data.iterdir()) == ["demo-secret-key", "notes.txt"]
    assert world.password() != password
    assert world.environment()["SECRET_KEY"] == secret


def test_secrets_are_readable_by_their_owner_alone(data: Path) -> None:
    data.mkdir()
    world = World(data)
    world.password()
    world.environment()
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in data.iterdir()} == {"demo-login": "0o600", "demo-secret-key": "0o600"}


def test_database_of_a_real_farm_is_refused_and_left_alone(environment: dict[str, str], data: Path, migrated_sqlite: Path) -> None:
    data.mkdir()
    shutil.copy(migrated_sqlite, data / "hashinsight.sqlite3")
    manage(environment, "shell", "--command", "from sites.models import Site; Site.objects.create(code='real', name='Real farm')")
    refused = subprocess.run(
        [sys.executable, "manage.py", "demo", "--fresh", "--port", "0"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "holds sites that are not the demo's (real)" in refused.stderr
    assert refused.stderr.count("\n") == 1
    with closing(sqlite3.connect(data / "hashinsight.sqlite3")) as database:
        assert database.execute("SELECT code FROM sites_site").fetchall() == [("real",)]


def test_busy_port_is_one_line(environment: dict[str, str], data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [sys.executable, "manage.py", "demo", "--port", str(other.getsockname()[1])]
        refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "is in use by another program" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (data / "hashinsight.sqlite3").exists()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """The project as a folder without `.venv`."""
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    for name in ("demo", "environment"):
        (folder / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
    return folder


def test_help_needs_no_installation(project: Path) -> None:
    shown = subprocess.run(["bash", "scripts/demo", "--help"], cwd=project, capture_output=True, text=True, check=True)
    assert "--fresh" in shown.stdout
    assert not (project / ".venv").exists()


def manage(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)


def query(data: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{data / 'hashinsight.sqlite3'}?mode=ro", uri=True, timeout=20)) as database:
        return database.execute(statement).fetchall()


def online(data: Path) -> dict[tuple[object, object], object]:
    """How many miners of which site are online, by the way they were heard of."""
    rows = query(
        data,
        "SELECT s.code, l.source, count(*) FROM miner_telemetry_live l JOIN sites_site s ON s.id = l.site_id"
        " WHERE l.online GROUP BY s.code, l.source",
    )
    return {(code, source): count for code, source, count in rows}


def polled_twice(data: Path) -> int:
    """How many miners have two readings in one minute of the clock: nearly all of them, when a poll was doubled.

    A slow one may have, when its last reading came after the turn of the minute.
    """
    polled = "SELECT m.id FROM miners_miner m JOIN sites_site s ON s.id = m.site_id WHERE s.code = 'north'"
    minutes = f"SELECT miner_id FROM miner_telemetry_history WHERE miner_id IN ({polled}) GROUP BY miner_id, substr(timestamp, 1, 16)"
    return len(query(data, f"{minutes} HAVING count(*) > 1"))


def signed_in(running: Supervised, password: str) -> requests.Session:
    session = requests.Session()
    login = f"{running.url}admin/login/?next=/admin/"
    session.get(login, timeout=30)
    fields = {"username": "operator", "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    assert session.post(login, data=fields, headers={"Referer": login}, timeout=30).url == f"{running.url}admin/"
    return session
