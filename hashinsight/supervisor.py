"""Keeps a few programs running: starts them, starts them again when they die or fall silent, and leaves nothing behind.

Every program leads its own session, so that a terminal's Ctrl-C reaches the supervisor alone and a whole tree can be killed as one group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from hashinsight.instance import Instance, end_group
from hashinsight.lifeline import FD_VARIABLE

log = structlog.get_logger(__name__)

Check = Callable[[datetime], str | None]
"""Given when the program was started, says what is wrong with it, or None when it is well."""

TICK_S = 0.1
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_AFTER_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program to keep running: a `manage.py` command line or a Python module with its arguments."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    inherited_fds: tuple[int, ...] = ()
    may_start: Callable[[], bool] = lambda: True
    """Asked before each start, in the supervisor's own loop: answer at once. False puts the start off."""
    check: Check | None = None
    check_every_s: float = 5
    start_allowance_s: float = 60
    silence_allowance_s: float = 30


class Child:
    """A program and the process that runs it at present."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = datetime.now(UTC)
        self.started = 0.0
        self.start_due = 0.0
        self.short_runs = 0
        self.trouble: str | None = None
        self.well_until = 0.0

    def watch(self) -> None:
        """Ask the program's check again and again; runs in its own thread, because a check may wait for an answer."""
        check, every_s = self.program.check, self.program.check_every_s
        while check is not None:
            started = self.started
            trouble = check(self.started_at)
            if trouble is None and started == self.started:
                self.well_until = max(self.well_until, time.monotonic() + self.program.silence_allowance_s)
            self.trouble = trouble
            time.sleep(every_s)

    def next_delay_s(self) -> float:
        """How long to wait before the next start; doubles while runs stay short."""
        steady = time.monotonic() - self.started >= STEADY_AFTER_S
        self.short_runs = 0 if steady else self.short_runs + 1
        return min(FIRST_DELAY_S * 2.0 ** max(self.short_runs - 1, 0), LONGEST_DELAY_S)


class Supervisor:
    """Runs `programs` until `stop()` or a signal; `output` takes what they print (None: the supervisor's own terminal)."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        instance: Instance,
        address: str,
        directory: Path,
        stop_allowance_s: float = 15,
        output: IO[bytes] | None = None,
    ) -> None:
        self._children = [Child(program) for program in programs]
        self._instance = instance
        self._address = address
        self._directory = directory
        self._stop_allowance_s = stop_allowance_s
        self._output = output
        self._interrupts = 0
        self._lifeline, self._own_end = os.pipe()

    def stop(self) -> None:
        """End the run soon; may be called from a signal handler and from any thread. Twice means at once."""
        self._interrupts += 1

    @property
    def stopping(self) -> bool:
        return self._interrupts > 0

    def run(self) -> None:
        try:
            for child in self._children:
                if child.program.check is not None:
                    threading.Thread(target=child.watch, name=f"watch {child.program.name}", daemon=True).start()
            while not self._interrupts:
                for child in self._children:
                    self._tend(child)
                time.sleep(TICK_S)
        finally:
            self._end_all()

    def handle_signals(self) -> None:
        """Ctrl-C, TERM and a closed terminal all end the run in order."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to survive its terminal
            signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _start(self, child: Child) -> None:
        program = child.program
        child.started, child.started_at, child.trouble = time.monotonic(), datetime.now(UTC), None
        child.well_until = child.started + program.start_allowance_s
        try:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "hashinsight.lifeline", *program.arguments],
                cwd=self._directory,
                env={**os.environ, **program.environment, FD_VARIABLE: str(self._lifeline)},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
                pass_fds=(self._lifeline, self._instance.children_fd, *program.inherited_fds),
            )
        except OSError as error:
            self._schedule(child, reason=f"cannot be started: {error}")
            return
        self._record()
        log.info("program_started", program=program.name, pid=child.process.pid)

    def _tend(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_due and child.program.may_start():
                self._start(child)
        elif (code := child.process.poll()) is not None:
            self._bury(child)
            self._schedule(child, reason=_cause(code))
        elif child.program.check is not None and time.monotonic() > child.well_until:
            self._bury(child)
            self._schedule(child, reason=child.trouble or "does not answer")

    def _bury(self, child: Child) -> None:
        """Kill what is left of the group: whoever outlives the leader would work beside its successor."""
        if child.process is None:
            return
        group, child.process = child.process, None
        group.poll()
        if group.returncode is None:
            group.kill()
            group.wait()
        end_group(group.pid)

    def _schedule(self, child: Child, *, reason: str) -> None:
        delay_s = child.next_delay_s()
        child.start_due = time.monotonic() + delay_s
        log.warning("program_died", program=child.program.name, reason=reason, restart_in_s=delay_s)

    def _record(self) -> None:
        """A full disk must not end what runs: the record only helps the next start."""
        try:
            self._instance.record(address=self._address, groups=[child.process.pid for child in self._children if child.process])
        except OSError as error:
            log.warning("record_not_written", reason=str(error))

    def _end_all(self) -> None:
        running = [child for child in self._children if child.process is not None]
        log.info("stopping", programs=[child.program.name for child in running])
        for child in running:
            if child.process is not None:
                child.process.terminate()
        deadline = time.monotonic() + self._stop_allowance_s
        while self._interrupts < 2 and time.monotonic() < deadline and any(_is_alive(child) for child in running):
            time.sleep(TICK_S)
        late = [child.program.name for child in running if _is_alive(child)]
        for child in running:
            self._bury(child)
        os.close(self._lifeline)
        os.close(self._own_end)
        log.info("stopped", killed=late)


def _is_alive(child: Child) -> bool:
    return child.process is not None and child.process.poll() is None


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
