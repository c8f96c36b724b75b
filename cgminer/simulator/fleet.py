"""A fleet of simulated miners on loopback, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType

from cgminer.simulator.control import ControlEvent
from cgminer.simulator.miner import SimulatedMiner
from cgminer.simulator.server import FleetError, FleetServer
from cgminer.simulator.spec import MinerSpec, State
from cgminer.sockets import sockets_allowed


class SimulatedFleet:
    """Plays every miner of `specs` from one thread, between `start` and `stop` or inside a `with`.

    Each miner has a listening socket of its own. A fleet too large for the open-files limit gets one listener for all of its
    addresses instead: it binds 0.0.0.0 (there is no other way to name all of 127/8), answers loopback callers only, and a
    switched-off miner then resets connections instead of refusing them.
    """

    def __init__(
        self,
        specs: Sequence[MinerSpec],
        *,
        latency: tuple[float, float] = (0.02, 0.08),
        restart_s: float = 6.0,
        on_control: Callable[[ControlEvent], None] | None = None,
        control_log: Path | None = None,
    ) -> None:
        """`latency` is the range of answering times in seconds; `restart_s` how long a restarted miner's API is away.

        Every control command that reaches a miner is kept in `control_events`, given to `on_control` (called in the fleet's
        thread) and appended to `control_log` as a line of JSON.
        """
        self.specs = specs
        self.control_events: list[ControlEvent] = []
        self._on_control = on_control
        self._control_log = control_log
        now = time.time()
        self._miners = {spec.miner_id: SimulatedMiner(spec, now) for spec in specs}
        self._server = FleetServer(
            self._miners.values(), latency=latency, restart_s=restart_s, on_control=self._record, one_listener=not _fits(len(specs))
        )
        self._bound = False
        self._thread = threading.Thread(target=self._server.serve, name="simulated fleet", daemon=True)

    def bind(self) -> None:
        """Listen everywhere, without serving yet; nothing happens the second time. Raises FleetError."""
        if not self._bound:
            self._server.bind()
        self._bound = True

    def start(self) -> None:
        """Listen, and serve in a thread. Raises FleetError."""
        self.bind()
        self._thread.start()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join()

    def serve_forever(self) -> None:
        """Listen and serve in the calling thread, until KeyboardInterrupt. Raises FleetError."""
        self.bind()
        self._server.serve()

    def miner(self, miner_id: str) -> SimulatedMiner:
        """The miner's own memory, to look at what a command did to it."""
        return self._miners[miner_id]

    def set_state(self, miner_id: str, state: State) -> None:
        """Change what a miner does, from any thread; done when this returns."""
        done = threading.Event()
        self._server.call_soon(partial(self._set_state, self._miners[miner_id], state, done))
        done.wait()

    def __enter__(self) -> SimulatedFleet:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _set_state(self, miner: SimulatedMiner, state: State, done: threading.Event) -> None:
        miner.set_state(state, time.time())
        if state is State.REFUSED:
            self._server.silence(miner)
        else:
            self._server.listen(miner)
        done.set()

    def _record(self, event: ControlEvent) -> None:
        self.control_events.append(event)
        if self._control_log:
            with self._control_log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(event)) + "\n")
        if self._on_control:
            self._on_control(event)


def _fits(miners: int) -> bool:
    """Whether each miner can have a listener and leave as many files for the connections."""
    return sockets_allowed(2 * miners) >= 2 * miners


__all__ = ["FleetError", "SimulatedFleet"]
