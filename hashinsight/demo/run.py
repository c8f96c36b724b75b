"""Puts the demo together: claim the directory, load the farm, run four programs, introduce itself."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from django.conf import settings
from django.db import connection

from cgminer.simulator import State
from hashinsight import up
from hashinsight.demo.farm import foreign_sites, load_farm, provide_collector_key, provide_operator
from hashinsight.demo.fleets import PORTS, Fleets, build_fleets, free_port
from hashinsight.demo.opening import Opening
from hashinsight.demo.world import World
from hashinsight.instance import CannotStart, Instance
from hashinsight.supervisor import Program, Supervisor
from hashinsight.web import listen, url_of

WEB_WORKERS = 1
STOP_ALLOWANCE_S = 5.0


class Demo:
    """One run. Making it claims the directory and the port: it raises CannotStart before anything is changed."""

    def __init__(self, world: World, *, host: str, port: int, miners: int, say: Callable[[str], object]) -> None:
        self._world = world
        self._say = say
        self._instance = Instance(up.run_directory())
        self._instance.claim()
        self._listener = listen(host, port)
        self._miners = miners
        self._miner_port = self._free_miner_port()
        self._fleets: Fleets = build_fleets(miners, port=self._miner_port)
        self._password: str | None = None

    def prepare(self, *, fresh: bool) -> None:
        """Database, farm, key and operator. Raises CannotStart."""
        if strangers := foreign_sites():
            raise CannotStart(
                f"{self._world.database} holds sites that are not the demo's ({', '.join(strangers[:3])}). "
                f"Move it away, or give the demo a directory of its own: HASHINSIGHT_DATA_DIR=demo-data scripts/demo"
            )
        if fresh:
            connection.close()
            self._world.erase()
        _log_to(self._world.log)
        up.prepare(self._say)
        self._say(f"Setting up a farm of {self._miners} simulated miners ...")
        load_farm(self._fleets)
        provide_collector_key(self._world)
        self._password = provide_operator(self._world)
        connection.close()

    def run(self) -> None:
        """Until Ctrl-C or TERM."""
        with self._world.log.open("ab", buffering=0) as output:
            supervisor = Supervisor(
                self._programs(),
                instance=self._instance,
                address=url_of(self._listener),
                directory=settings.BASE_DIR,
                stop_allowance_s=STOP_ALLOWANCE_S,
                output=output,
            )
            supervisor.handle_signals()
            self._say("Starting the miners, the collector, the web server and the background workers ...")
            opening = Opening(
                supervisor,
                listener=self._listener,
                fleets=self._fleets,
                world=self._world,
                password=self._password,
                say=self._say,
            )
            opening.start()
            supervisor.run()
            opening.join(timeout=2)
        up.forget_metrics()
        self._instance.release()
        self._say("\nStopped.")

    def _programs(self) -> list[Program]:
        fleet = ("--miners", str(self._miners), "--port", str(self._miner_port))
        key_file, url = str(self._world.collector_key), url_of(self._listener)
        miners = Program(name="miners", arguments=("hashinsight.demo.simulator", *fleet))
        beside = ("--url", url, "--key-file", key_file, "--folder", str(self._world.collector_folder))
        collector = Program(name="collector", arguments=("hashinsight.demo.collector", *fleet, *beside))
        web, cluster = up.programs(self._listener, web_workers=WEB_WORKERS, with_cluster=True)
        # A poll before the miners listen would find every one of them offline.
        return [miners, web, replace(cluster, may_start=self._miners_listen), replace(collector, may_start=self._miners_listen)]

    def _miners_listen(self) -> bool:
        healthy = next(spec for spec in self._fleets.north if spec.state is State.HEALTHY)
        try:
            socket.create_connection((healthy.host, healthy.port), timeout=0.2).close()
        except OSError:
            return False
        return True

    def _free_miner_port(self) -> int:
        port = free_port(self._miners)
        if port is None:
            raise CannotStart(
                f"The simulated miners find no free port on the loopback addresses (tried {', '.join(map(str, PORTS))}). "
                f"Stop other demos on this machine, or start with fewer: --miners 50"
            )
        return port


def _log_to(path: Path) -> None:
    """Events of this process join those of its programs: the terminal is for the address and the login."""
    file = path.open("a", buffering=1)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(file)
