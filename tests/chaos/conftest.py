from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.farm import Farm

DISK_MB = 500


@pytest.fixture(scope="package")
def disk() -> Iterator[Path]:
    """A small file system of its own, in memory, where this user may mount one; else a plain folder, which no test can fill."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["HASHINSIGHT_TEST_SCRATCH"]))
    folder.chmod(0o711)
    options = f"size={DISK_MB}m,mode=711"
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def _farm(disk: Path) -> Iterator[Farm]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["HASHINSIGHT_TEST_SCRATCH"]))
    folder.chmod(0o711)
    with Farm(folder, disk) as farm:
        with farm.fault():
            """Nothing is broken yet: it becomes well."""
        yield farm
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def farm(_farm: Farm) -> Iterator[Farm]:
    """The one installation that all tests of this folder hurt in turn, each leaving it well. Its log is shown when one fails."""
    before = len(_farm.up.lines())
    yield _farm
    routine = ("request_finished", "telemetry_upload", "job_dropped")
    told = [line for line in _farm.up.lines()[before:] if not any(name in line for name in routine)]
    sys.stdout.write("\n".join(told[-60:]) + "\n")
