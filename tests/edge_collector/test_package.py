"""What `scripts/build-collector` makes, tried where the project is not: in a fresh virtual environment, and as a single file."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from cgminer.simulator import MinerSpec, SimulatedFleet
from tests.edge_collector.makers import make_config
from tests.edge_collector.odd_server import OddServer
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
BARE = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


def build(folder):
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["bash", "scripts/build-collector", str(folder)], cwd=ROOT, check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The program in an environment of its own, installed without any index: it needs nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True, symlinks=True)
    (wheel,) = built.glob("*.whl")
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*map(str, pip), "install", "--no-index", str(wheel)], check=True, capture_output=True, cwd=folder, env=BARE)
    subprocess.run([*map(str, pip), "check"], check=True, capture_output=True, cwd=folder, env=BARE)
    return folder / "bin" / "edge-collector"


@pytest.mark.parametrize("form", ["wheel", "single file"])
def test_it_collects_without_the_project(form, built, installed, tmp_path):
    specs = [MinerSpec(miner_id=f"m{number}", host=f"127.0.77.{number}", port=free_port(), seed=number) for number in (1, 2, 3)]
    program = [str(installed)] if form == "wheel" else [sys.executable, "-I", "-S", str(built / "edge-collector.pyz")]
    with OddServer() as server, SimulatedFleet(specs):
        make_config(tmp_path, url=server.url, specs=specs, loop={"interval_s": 5})
        done = subprocess.run([*program, "once"], cwd=tmp_path, capture_output=True, text=True, check=False, env=BARE)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 miners answered; everything was sent." in done.stdout
    assert len(server.readings) == 3


def test_package_holds_the_collector_and_the_device_library_alone(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        tops = {name.partition("/")[0].partition("-")[0] for name in archive.namelist()}
    assert tops == {"edge_collector", "cgminer"}


def test_same_sources_give_the_same_bytes(built, tmp_path):
    build(tmp_path)
    for path in built.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
