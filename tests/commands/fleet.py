"""A site whose miners are simulated ones on loopback, to command them for real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from cgminer.simulator import ControlEvent, MinerSpec, SimulatedFleet
from miners.models import Miner
from sites.models import Site
from tests.makers import make_site
from tests.ports import free_port

PREPARATIONS = frozenset({"logon", "logoff", "session", "get_token"})


class Farm:
    """Miners `m1`, `m2`, … of the given models; started inside a `with`."""

    def __init__(
        self, *models: str, network: str = "127.0.58", control_log: Path | None = None, restart_s: float = 0.5, **site: Any
    ) -> None:
        port = free_port()
        self.specs = [
            MinerSpec(miner_id=f"m{number}", host=f"{network}.{number}", port=port, model=model, seed=number)
            for number, model in enumerate(models, start=1)
        ]
        self.fleet = SimulatedFleet(self.specs, latency=(0, 0.01), restart_s=restart_s, control_log=control_log)
        self.site: Site = make_site(**site)
        self.miners: Sequence[Miner] = [
            Miner.objects.create(site=self.site, miner_id=spec.miner_id, ip_address=spec.host, port=spec.port) for spec in self.specs
        ]

    def __enter__(self) -> Self:
        self.fleet.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.fleet.stop()

    def told(self, miner_id: str = "m1") -> list[str]:
        """The commands that reached the miner and change it, in order."""
        return [event.command for event in self._events(miner_id) if event.command not in PREPARATIONS]

    def _events(self, miner_id: str) -> list[ControlEvent]:
        return [event for event in self.fleet.control_events if event.miner_id == miner_id]
