"""The supervisor alone, with small programs instead of the product."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from hashinsight import supervisor as supervision
from hashinsight.instance import AlreadyRunning, Instance
from hashinsight.supervisor import Program, Supervisor
from tests.servers import wait_until

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(directory: Path, *programs: Program) -> Iterator[Supervisor]:
    instance = Instance(directory / "run")
    instance.claim()
    supervisor = Supervisor(programs, instance=instance, address="nowhere", directory=ROOT, stop_allowance_s=2)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        thread.join()
        instance.release()


def script(directory: Path, text: str) -> str:
    path = directory / "program.py"
    path.write_text(f"import os, pathlib, time\nstarts = pathlib.Path({str(directory)!r}, 'starts')\n{text}")
    return str(path)


STAY = "with starts.open('a') as file: file.write(f'{os.getpid()}\\n')\ntime.sleep(300)\n"
LEAVE = "with starts.open('a') as file: file.write(f'{os.getpid()}\\n')\n"


def starts(directory: Path) -> list[int]:
    path = directory / "starts"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_program_that_falls_silent_is_replaced(tmp_path: Path) -> None:
    def check(_started_at: datetime) -> str | None:
        return "says nothing" if len(starts(tmp_path)) == 1 else None

    program = Program(
        name="mute",
        arguments=(script(tmp_path, STAY),),
        check=check,
        check_every_s=0.05,
        start_allowance_s=1,
        silence_allowance_s=0.3,
    )
    with running(tmp_path, program):
        wait_until(lambda: len(starts(tmp_path)) == 2, timeout_s=10, what="a second start")
        first = starts(tmp_path)[0]
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)


def test_program_that_answers_is_left_alone(tmp_path: Path) -> None:
    asked: list[datetime] = []

    def check(started_at: datetime) -> str | None:
        asked.append(started_at)
        return None

    program = Program(
        name="well", arguments=(script(tmp_path, STAY),), check=check, check_every_s=0.05, start_allowance_s=0.5, silence_allowance_s=0.5
    )
    with running(tmp_path, program):
        wait_until(lambda: len(asked) > 30, timeout_s=10, what="thirty checks")
    assert len(starts(tmp_path)) == 1


def test_program_that_ends_at_once_is_started_less_and_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_DELAY_S", 0.1)
    with running(tmp_path, Program(name="short", arguments=(script(tmp_path, LEAVE),))):
        wait_until(lambda: len(starts(tmp_path)) >= 3, timeout_s=20, what="three starts")
    child = supervision.Child(Program(name="short", arguments=()))
    child.started = supervision.time.monotonic()
    assert [child.next_delay_s() for _ in range(10)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]


def test_program_that_ignores_terminate_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAY
    with running(tmp_path, Program(name="stubborn", arguments=(script(tmp_path, stubborn),))):
        wait_until(lambda: len(starts(tmp_path)) == 1, timeout_s=10, what="the start")
    with pytest.raises(ProcessLookupError):
        os.kill(starts(tmp_path)[0], 0)


def test_directory_belongs_to_one_instance_at_a_time(tmp_path: Path) -> None:
    first = Instance(tmp_path / "run")
    assert first.claim() == []
    first.record(address="http://127.0.0.1:8000/", groups=[])
    with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}, http://127.0.0.1:8000/"):
        Instance(tmp_path / "run").claim()
    first.release()
    assert Instance(tmp_path / "run").claim() == []
