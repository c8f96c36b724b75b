"""Simulated miners that number their answers, so that each one can be found again in the server's history."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from cgminer.simulator import MinerSpec
from cgminer.simulator.miner import SimulatedMiner
from cgminer.simulator.server import FleetServer


class CountingMiner(SimulatedMiner):
    """Reports as accepted shares how often it was asked for its summary: 1 with its first answer."""

    answers = 0

    def read(self, command: str, now: float) -> str | None:
        self.answers += "summary" in command
        return super().read(command, now)

    def accepted_shares(self, now: float) -> int:
        return self.answers


class CountingFleet:
    """Plays the miners from a thread, inside a `with`."""

    def __init__(self, specs: Sequence[MinerSpec]) -> None:
        now = time.time()
        self.miners = {spec.miner_id: CountingMiner(spec, now) for spec in specs}
        self._server = FleetServer(
            self.miners.values(), latency=(0.0, 0.005), restart_s=1.0, on_control=lambda event: None, one_listener=False
        )
        self._thread = threading.Thread(target=self._server.serve, name="counting fleet", daemon=True)

    def __enter__(self) -> CountingFleet:
        self._server.bind()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()
        self._thread.join()

    @property
    def answers(self) -> dict[str, int]:
        return {name: miner.answers for name, miner in self.miners.items()}
