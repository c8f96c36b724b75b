"""Whatever is killed and whatever answer is lost: each command is carried out once or reported as unknown; none twice, none left open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.chaos import LIMITS, Chaos
from tests.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_command_is_carried_out_twice_or_forgotten(tmp_path: Path, child_environment: dict[str, str], server_directory: Path) -> None:
    chaos = Chaos(tmp_path, child_environment, miners=20, rounds=10, ttl_s=45)
    chaos.ask()
    with WebServer(server_directory, child_environment | LIMITS) as web:
        verdict = chaos.run(web, kill_every_s=0.8, within_s=180, kill_for_s=30)
    assert (verdict.twice, verdict.claimed_in_vain, verdict.out_of_order, verdict.open) == ([], [], [], 0), str(verdict)
    assert set(verdict.kills) == {"runner", "agent", "web"}
    assert verdict.executions[1] > verdict.commands / 2, str(verdict)
