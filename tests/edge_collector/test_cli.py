"""What a person sees of `edge-collector`: the program as a child process, the real server and simulated miners around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cgminer.simulator import MinerSpec, SimulatedFleet, write_inventory
from edge_collector.agent import SPOOL_FILE
from edge_collector.config import load
from edge_collector.wizard import Asker, init
from sites.models import CollectorKey
from tests.edge_collector.makers import KEY, make_config, make_spool, put_round, write_config
from tests.edge_collector.odd_server import OddServer
from tests.edge_collector.test_server import running
from tests.makers import make_site
from tests.ports import free_port
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def specs():
    port = free_port()
    return [MinerSpec(miner_id=f"m{number}", host=f"127.0.76.{number}", port=port, seed=number) for number in range(1, 6)]


@pytest.fixture
def fleet(specs):
    with SimulatedFleet(specs) as fleet:
        yield fleet


def edge(folder, *arguments, typed="", **variables):
    command = [sys.executable, "-m", "edge_collector", "--config", str(folder / "edge-collector.toml"), *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, cwd=folder, input=typed, capture_output=True, text=True, check=False, env=environment, timeout=60)


def told(done, about):
    (line,) = [line for line in done.stdout.splitlines() if f" {about}: " in line]
    return line


def test_five_answers_make_a_configuration_that_works(live_web, specs, fleet, tmp_path):
    _, key = CollectorKey.objects.generate(site=make_site("north", collection="collector"), name="container 3")
    write_inventory(specs, tmp_path / "miners.csv")
    made = edge(tmp_path, "init", typed=f"{live_web.url}\nnorth\n\n{key}\nminers.csv\n")
    assert made.returncode == 0, made.stderr
    assert key not in made.stdout
    for name in ("edge-collector.toml", "collector.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    checked = edge(tmp_path, "check")
    assert checked.returncode == 0, checked.stdout
    assert "knows this key as “container 3” of site north" in told(checked, "server")
    assert told(checked, "clock").startswith("ok")
    assert [name for name in ("m1", "m3", "m5") if told(checked, name).startswith("ok")] == ["m1", "m3", "m5"]
    assert checked.stdout.splitlines()[-1] == "Ready: edge-collector run"
    assert edge(tmp_path, "once").returncode == 0


def test_wizard_asks_again_and_never_overwrites(tmp_path):
    answers = iter(["farm.example", "https://farm.example", "north pole", "north", "", "8.8.8.0/24", "10.1.0.0/30 10.1.1.0/30"])
    keys = iter(["hsc_short", KEY])
    said: list[str] = []
    config = init(tmp_path / "edge-collector.toml", Asker(lambda _: next(answers), lambda _: next(keys), said.append))
    assert len(said) == 4
    assert config.miners.ranges == ("10.1.0.0/30", "10.1.1.0/30")
    assert config.read_key() == KEY
    again = edge(tmp_path, "init")
    assert again.returncode == 2
    assert "there is a configuration already" in again.stderr


def test_every_default_in_the_written_file_is_the_one_in_force(tmp_path):
    answers = iter(["https://farm.example", "north", "", "10.1.0.0/30"])
    path = tmp_path / "edge-collector.toml"
    config = init(path, Asker(lambda _: next(answers), lambda _: KEY, lambda _: None))
    uncommented = [line.removeprefix("#") if "=" in line and not line.startswith("# ") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(uncommented))
    assert load(path, {}) == config


@pytest.mark.parametrize(
    ("problem", "about", "words"),
    [
        ("key", "server", "does not accept this key"),
        ("site", "server", "the key is not of site south"),
        ("port", "server", "refuses the connection"),
        ("name", "server", "does not resolve"),
    ],
)
def test_check_says_what_is_wrong_with_key_and_link(live_web, specs, fleet, tmp_path, problem, about, words):
    _, key = CollectorKey.objects.generate(site=make_site("north", collection="collector"), name="edge")
    urls = {"port": "http://127.0.0.1:9", "name": "https://no-such-host.invalid"}
    write_inventory(specs, tmp_path / "miners.csv")
    site = "south" if problem == "site" else "north"
    write_config(tmp_path, url=urls.get(problem, live_web.url), site=site, key=KEY if problem == "key" else key)
    checked = edge(tmp_path, "check")
    assert checked.returncode == 1
    line = told(checked, about)
    assert line.startswith("problem")
    assert words in line
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(
    ("portal", "words"), [((200, {}), "is not HashInsight"), ((502, {"error": "bad gateway"}), "answers 502: bad gateway")]
)
def test_check_tells_another_server_from_ours(specs, fleet, tmp_path, portal, words):
    with OddServer() as server:
        server.answers["/api/collector/status"] = portal
        make_config(tmp_path, url=server.url, specs=specs)
        assert words in told(edge(tmp_path, "check"), "server")


def test_check_names_the_miner_that_does_not_answer(specs, tmp_path):
    with SimulatedFleet(specs[:-1]):
        make_config(tmp_path, specs=specs)
        line = told(edge(tmp_path, "check"), "m5")
    assert line.startswith("warning")
    assert "refused the connection" in line


def test_discover_lists_and_changes_nothing(fleet, specs, tmp_path):
    make_config(tmp_path, miners={"ranges": ["127.0.76.0/28"], "port": specs[0].port})
    done = edge(tmp_path, "discover")
    assert "5 miners found" in done.stdout
    assert "127.0.76.3" in done.stdout
    assert not (tmp_path / "data").exists()


def test_spool_is_shown_exported_and_dropped_on_request(tmp_path):
    config = make_config(tmp_path, specs=[])
    spool = make_spool(config.data)
    for at in (0, 60):
        put_round(spool, 30, at=at)
    spool.close()
    assert "60 records wait in 2 batches" in edge(tmp_path, "spool").stdout
    assert "60 records written" in edge(tmp_path, "spool", "--export", str(tmp_path / "out.jsonl")).stdout
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len({(line["miner_id"], line["timestamp"]) for line in lines}) == 60
    assert "Nothing was dropped" in edge(tmp_path, "spool", "--drop", typed="no\n").stdout
    assert "60 records dropped" in edge(tmp_path, "spool", "--drop", "--yes").stdout
    again = make_spool(config.data)
    (details,) = [json.loads(row) for (row,) in again.db.execute("SELECT details FROM events")]
    assert (details["seq_start"], details["seq_end"], details["records"]) == (1, 60, 60)
    again.close()


def test_status_of_a_running_and_of_a_stopped_collector(specs, fleet, tmp_path):
    with OddServer() as server:
        config = make_config(tmp_path, url=server.url, specs=specs)
        with running(tmp_path / "edge-collector.toml"):
            wait_until(lambda: server.uploads, timeout_s=20, what="an upload")
            shown = edge(tmp_path, "status")
            second = edge(tmp_path, "spool", "--drop", "--yes")
    assert shown.returncode == 0
    assert "5 of 5 answered" in shown.stdout
    assert second.returncode == 2
    stopped = edge(tmp_path, "status")
    assert stopped.returncode == 1
    assert "does not run" in stopped.stdout
    assert (config.data / SPOOL_FILE).exists()


def test_key_is_in_no_process_list_and_no_log(specs, fleet, tmp_path):
    with OddServer() as server:
        make_config(tmp_path, url=server.url, specs=specs, log={"level": "DEBUG"})
        with running(tmp_path / "edge-collector.toml") as process:
            wait_until(lambda: server.uploads, timeout_s=20, what="an upload")
            command_line = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert KEY not in command_line + (tmp_path / "edge-collector.log").read_text()


def test_mistake_in_the_configuration_is_told_in_one_line(tmp_path):
    (tmp_path / "edge-collector.toml").write_text('[server]\nurl = "https://x.example"\nsite_id = "n"\n[loop]\nintervall_s = 5\n')
    done = edge(tmp_path, "run")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"{tmp_path}/edge-collector.toml: [loop] intervall_s: there is no such setting. Did you mean interval_s?"
    ]


def test_collector_without_a_configuration_says_how_to_make_one(tmp_path):
    done = edge(tmp_path, "run")
    assert done.returncode == 2
    assert "there is no such file; make one with 'edge-collector init'" in done.stderr.splitlines()[0]


def test_answers_that_end_too_early_are_told_in_one_line_and_write_nothing(tmp_path):
    done = edge(tmp_path, "init", typed="https://farm.example\n")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["The answers ended before the last question: nothing was written."]
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "a-file").write_text("")
    answers = f"https://farm.example\nnorth\n\n{KEY}\n10.1.0.0/30\n"
    done = edge(tmp_path, "--config", str(tmp_path / "a-file" / "edge-collector.toml"), "init", typed=answers)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "run it where this user may write" in done.stderr
