"""Power cuts and full disks."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.edge_collector.makers import make_spool, readings_of
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
KILLS = 25


def test_kill_at_any_moment_loses_and_doubles_nothing_that_was_promised(tmp_path):
    journal = tmp_path / "journal"
    chance = random.Random(7)
    for kill in range(KILLS):
        command = [sys.executable, "-m", "tests.edge_collector.spool_writer", tmp_path, journal, str(kill * 10_000)]
        child = subprocess.Popen(list(map(str, command)), cwd=ROOT)
        wait_until(lambda kill=kill: f'["open", {kill * 10_000}]' in read(journal), timeout_s=20, what="the child")
        time.sleep(chance.uniform(0, 0.15))  # the moment of the power cut
        child.kill()
        child.wait()
    notes = [json.loads(line) for line in read(journal).splitlines()]
    must, may = promised(notes)
    spool = make_spool(tmp_path, max_records=60)
    kept = Counter(readings_of(spool))
    assert max(kept.values()) == 1
    assert must <= set(kept)
    assert set(kept) <= may
    assert spool.damaged is None
    assert len(must) > 300
    batches = list(spool.db.execute("SELECT seq_start, seq_end FROM batches ORDER BY seq_start"))
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(batches))


def promised(notes):
    """Readings that must be there, and those that may: a round that was being kept, a batch that was being acknowledged."""
    must, may = set(), set()
    for word, what in notes:
        if word in ("keeping", "kept"):
            moment = f"2026-03-01T{what // 3600:02d}:{what // 60 % 60:02d}:{what % 60:02d}.000Z"
            readings = {(f"m{number:05d}", moment) for number in range(20)}
            may |= readings
            if word == "kept":
                must |= readings
        elif word == "acknowledging":
            must -= {tuple(reading) for reading in what}
        elif word == "acknowledged":
            may -= {tuple(reading) for reading in what}
    return must, may


def read(path):
    return path.read_text() if path.exists() else ""


@pytest.fixture
def on_small_disk(tmp_path):
    """Runs a module with a disk of 10 MB of its own; skipped where this user may not mount one."""

    def run(module):
        script = 'mount -t tmpfs -o size=10m none "$1" && exec "$2" -m "$3" "$1"'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, module]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    probe = subprocess.run(["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", str(tmp_path)], check=False)
    if probe.returncode:
        pytest.skip("this system lets nobody but root mount a file system")
    return run


def test_full_disk_costs_the_oldest_and_says_which(on_small_disk):
    done = on_small_disk("tests.edge_collector.full_disk")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["newest"].startswith(f"{said['rounds'] - 1} ")
    assert said["held"] == 0
    gap = said["gap"]
    assert (gap["seq_start"], gap["reason"]) == (1, "size")
    assert gap["records"] == gap["seq_end"] == said["rounds"] * 2_000 - said["records"]


def test_disk_that_others_filled_leaves_the_newest_in_memory_until_there_is_room(on_small_disk):
    said = json.loads(on_small_disk("tests.edge_collector.full_disk").stdout)
    assert said["live"].startswith(f"full{said['number']} ")
    assert said["held_when_full"] == 2_000
    assert said["after_acknowledgement"] == 0
    assert said["held_when_free"] == 0
    assert {"still-full", "free"} <= set(said["kept"])
    assert said["restarts"] == "['after', 'before'] 2"
