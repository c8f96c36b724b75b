"""The whole program as a child process: simulated miners on one side, the real web server on the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cgminer.simulator import SimulatedFleet, State, build_fleet, write_inventory
from miners.models import Miner
from sites.models import CollectorKey
from telemetry.models import CollectorUploadLog, MinerTelemetryHistory, MinerTelemetryLive
from tests.edge_collector.makers import write_config
from tests.makers import make_site
from tests.ports import free_port
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(transactional_db):
    return make_site("north", collection="collector")


@pytest.fixture
def specs():
    return build_fleet(20, first_address="127.0.71.1", port=free_port(), shares={State.REFUSED: 0.1})


@pytest.fixture
def config(site, specs, live_web, tmp_path):
    _, key = CollectorKey.objects.generate(site=site, name="edge")
    write_inventory(specs, tmp_path / "miners.csv")
    return write_config(tmp_path, url=live_web.url, key=key, loop={"interval_s": 1.0, "hand_over_s": 10})


def collector(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_collector", "--config", str(config), *arguments]


@contextmanager
def running(config: Path):
    log = config.with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen(collector(config, "run"), cwd=ROOT, stdout=output, stderr=output, env={"PATH": os.environ["PATH"]})
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        sys.stdout.write(log.read_text())


def test_one_round_arrives_with_what_the_miners_said(config, specs, site):
    with SimulatedFleet(specs):
        done = subprocess.run(collector(config, "once"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "18 of 20 miners answered; everything was sent." in done.stdout
    assert MinerTelemetryLive.objects.filter(online=True).count() == 18
    assert MinerTelemetryLive.objects.filter(online=False).count() == 2
    log = CollectorUploadLog.objects.get()
    assert (log.device_id, log.sequence_start, log.sequence_end, log.processed, len(log.errors)) == ("pi-1", 1, 20, 20, 0)


def test_addresses_stay_at_the_farm(config, specs):
    with SimulatedFleet(specs):
        subprocess.run(collector(config, "once"), cwd=ROOT, check=True, capture_output=True)
    assert not Miner.objects.exclude(ip_address="").exists()
    assert not MinerTelemetryLive.objects.filter(error_message__contains="127.0.71").exists()


def test_rounds_go_on_through_the_servers_absence_and_nothing_is_lost_or_doubled(config, specs, live_web):
    with SimulatedFleet(specs), running(config) as process:
        wait_until(lambda: MinerTelemetryHistory.objects.count() >= 40, timeout_s=20, what="two rounds")
        live_web.stop()
        wait_until(lambda: "upload_failed" in config.with_suffix(".log").read_text(), timeout_s=10, what="an upload in vain")
        rounds = config.with_suffix(".log").read_text().count("round_done")
        wait_until(lambda: config.with_suffix(".log").read_text().count("round_done") > rounds + 2, timeout_s=20, what="rounds meanwhile")
        live_web.start()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    subprocess.run(collector(config, "once"), cwd=ROOT, check=True, capture_output=True)
    # A batch whose answer came too late is sent again, with other neighbours: the server may have a number twice, never a reading.
    ranges = CollectorUploadLog.objects.values_list("sequence_start", "sequence_end")
    numbers = {number for start, end in ranges for number in range(start, end + 1)}
    assert numbers == set(range(1, max(numbers) + 1))
    assert MinerTelemetryHistory.objects.count() == max(numbers)


def test_second_program_on_the_same_spool_is_refused(config, specs):
    with SimulatedFleet(specs), running(config):
        wait_until(lambda: "started" in config.with_suffix(".log").read_text(), timeout_s=10, what="the start")
        second = subprocess.run(collector(config, "once"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "another edge-collector works on this folder" in second.stderr
