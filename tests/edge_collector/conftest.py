"""The real program, the real server and miners that number their answers, for the tests that run all three."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from cgminer.simulator import build_fleet, write_inventory
from sites.models import Site
from tests.edge_collector.counting_fleet import CountingFleet
from tests.edge_collector.program import Program
from tests.makers import make_site
from tests.ports import free_port
from tests.web import WebServer

MINERS = 20


@pytest.fixture
def site() -> Site:
    return make_site("north", collection=Site.Collection.COLLECTOR)


@pytest.fixture
def web(child_environment, server_directory) -> Iterator[WebServer]:
    """The server; a round each half second would be over its usual rates."""
    names = ("UPLOAD", "READ", "RESULT", "HEARTBEAT")
    rates = {f"HASHINSIGHT_{name}_RATE_PER_MINUTE": "1000000" for name in names}
    with WebServer(server_directory, {**child_environment, **rates}) as server:
        yield server


@pytest.fixture
def fleet() -> Iterator[CountingFleet]:
    with CountingFleet(build_fleet(MINERS, port=free_port(), models=(("Antminer S19", 1),))) as fleet:
        yield fleet


@pytest.fixture
def program(site, fleet, tmp_path) -> Iterator[Program]:
    write_inventory([miner.spec for miner in fleet.miners.values()], tmp_path / "miners.csv")
    program = Program(tmp_path / "edge-collector.toml")
    yield program
    if program.process and program.process.poll() is None:
        program.stop(signal.SIGKILL)
    sys.stdout.write("".join(program.lines[-200:]))
