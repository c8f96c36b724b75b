"""Waits for the demo's first readings, says how far it is, and ends with the address and the login."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.models import Count, Q

from hashinsight.demo.farm import FJORD, NORTH, OPERATOR, SITES
from hashinsight.demo.fleets import Fleets
from hashinsight.demo.world import World
from hashinsight.supervisor import Supervisor
from hashinsight.up import heartbeat_path
from hashinsight.web import url_of, web_trouble
from telemetry.models import MinerTelemetryLive

PATIENCE_S = 90.0
LOOK_EVERY_S = 0.5
ENOUGH = 0.9
"""A few of the miners are hung on purpose, and are heard of last."""


class Opening(threading.Thread):
    """Runs beside the supervisor, from its start until the login is printed."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        listener: socket.socket,
        fleets: Fleets,
        world: World,
        password: str | None,
        say: Callable[[str], object],
    ) -> None:
        super().__init__(name="opening", daemon=True)
        self._supervisor = supervisor
        self._listener = listener
        self._expected = {NORTH: len(fleets.north), FJORD: len(fleets.fjord)}
        self._world = world
        self._password = password
        self._say = say
        self._deadline = time.monotonic() + PATIENCE_S

    def run(self) -> None:
        try:
            if not self._wait(lambda: web_trouble(self._listener) is None, "The web server"):
                return
            self._say("  the web server answers")
            if self._wait(heartbeat_path().exists, "The cluster of background workers"):
                self._say("  the background workers are there; reading the miners ...")
                self._watch_readings()
            if not self._supervisor.stopping:
                self._introduce()
        finally:
            connection.close()

    def _wait(self, condition: Callable[[], bool], what: str) -> bool:
        while not condition():
            if self._supervisor.stopping:
                return False
            if time.monotonic() > self._deadline:
                self._say(f"{what} did not come up within {PATIENCE_S:.0f} s. See {self._world.log}; Ctrl-C stops the demo.")
                return False
            time.sleep(LOOK_EVERY_S)
        return True

    def _watch_readings(self) -> None:
        told: dict[str, int] = {}

        def enough() -> bool:
            for code, (heard, online) in _heard().items():
                if heard >= ENOUGH * self._expected.get(code, 0) and code not in told:
                    told[code] = heard
                    self._say(f"  {code}: {online} of {self._expected[code]} miners online")
            return len(told) == len(self._expected)

        self._wait(enough, "Some of the first readings")

    def _introduce(self) -> None:
        password = self._password or "(the password that was set in the admin)"
        self._say("")
        self._say(f"The demo runs. Sites: {', '.join(str(fields['name']) for fields in SITES.values())}. Log: {self._world.log}")
        self._say("Ctrl-C stops all of it; scripts/demo starts it again with the same data, scripts/demo --fresh without.")
        self._say(f"Address:  {url_of(self._listener)}")
        self._say(f"Login:    {OPERATOR}  {password}")


def _heard() -> dict[str, tuple[int, int]]:
    """By site code: miners that have a reading, and how many of those are online."""
    counted = MinerTelemetryLive.objects.values_list("site__code").annotate(heard=Count("pk"), online=Count("pk", filter=Q(online=True)))
    try:
        return {code: (heard, online) for code, heard, online in counted}
    except DatabaseError:  # SQLite, while a long write is going on: the next look will tell
        return {}
