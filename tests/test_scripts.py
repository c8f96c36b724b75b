"""scripts/environment: what a newcomer's first minute meets. Runs in a copy with empty requirement files, so nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import ROOT

pytestmark = [pytest.mark.once, pytest.mark.xdist_group("scripts")]  # one process, so that .venv is made once


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def _started_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkout(tmp_path_factory.mktemp("checkout"))
    assert ensure_venv(folder).returncode == 0
    return folder


@pytest.fixture
def started(_started_once: Path, tmp_path: Path) -> Path:
    """A checkout whose .venv is complete (a copy: making one takes seconds)."""
    return shutil.copytree(_started_once, tmp_path / "started", symlinks=True)


def make_checkout(folder: Path) -> Path:
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "environment", folder / "scripts")
    for lock in ("requirements.txt", "requirements-test.txt"):
        (folder / lock).touch()
    return folder


def ensure_venv(
    checkout: Path, kind: str = "run", *, python: str = sys.executable, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-euc", f"source scripts/environment; ensure_venv {kind}"],
        cwd=checkout,
        env={"PATH": path, "PYTHON": python, "HOME": str(checkout)},
        capture_output=True,
        text=True,
    )


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_second_start_does_nothing(started: Path):
    again = ensure_venv(started)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_half_made_venv_is_made_anew(started: Path):
    (started / ".venv" / ".installed-run").unlink()
    (started / ".venv" / "left-over").touch()
    again = ensure_venv(started)
    assert "was not finished: making it anew" in again.stdout
    assert not (started / ".venv" / "left-over").exists()


def test_changed_lock_is_installed_into_the_venv_that_is_there(started: Path):
    (started / ".venv" / "kept").touch()
    (started / "requirements.txt").write_text("# changed\n")
    assert "Installing requirements.txt" in ensure_venv(started).stdout
    assert (started / ".venv" / "kept").exists()


def test_failed_installation_says_so_and_leaves_the_venv_unfinished(started: Path):
    (started / "requirements.txt").write_text("./no-such-folder\n")
    failed = ensure_venv(started)
    assert failed.returncode == 1
    assert "The packages could not be installed" in failed.stderr.splitlines()[-1]
    assert not (started / ".venv" / ".installed-run").exists()


def test_python_too_old_gets_one_clear_line(checkout: Path):
    tools = checkout / "bin"
    tools.mkdir()
    old = program(tools / "python3", 'if [[ $* == --version ]]; then echo "Python 3.9.2"; else exit 1; fi')
    for name in ("dirname", "cat", "cksum"):
        (tools / name).symlink_to(shutil.which(name) or name)
    refused = ensure_venv(checkout, python=old, path=str(tools))
    assert refused.returncode == 1
    assert refused.stderr.startswith("HashInsight needs Python 3.11 or newer; python3 here is Python 3.9.2.")
    assert len(refused.stderr.splitlines()) == 1


def test_python_without_venv_gets_one_clear_line(checkout: Path):
    bare = program(checkout / "python3", f'if [[ $* == *ensurepip* ]]; then exit 1; fi; exec {sys.executable} "$@"')
    refused = ensure_venv(checkout, python=bare)
    assert refused.returncode == 1
    assert f"{bare} has no venv module" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_folder_that_is_no_virtual_environment_is_left_alone(checkout: Path):
    precious = checkout / ".venv" / "precious"
    precious.parent.mkdir()
    precious.touch()
    refused = ensure_venv(checkout)
    assert refused.returncode == 1
    assert "is no virtual environment: move it away" in refused.stderr
    assert precious.exists()
