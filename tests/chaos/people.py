"""Who uses the farm while it is hurt: a collector that uploads, an operator who looks at pages. Each notes what it was answered."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import requests

Reading = tuple[str, datetime]
PATIENCE_S = 10.0
REPLAYED = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request. Status 0: no answer at all (refused, cut off, too late)."""

    at: float
    """Monotonic, when it was asked."""
    path: str
    status: int
    seconds: float


class Person(threading.Thread):
    """Asks again and again until it is told to stop."""

    pause_s = 0.2

    def __init__(self, url: str) -> None:
        super().__init__(name=type(self).__name__.lower(), daemon=True)
        self.answers: list[Answer] = []
        self._url = url.rstrip("/")
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join(PATIENCE_S + 5)

    def run(self) -> None:
        with requests.Session() as session:
            while not self._over.is_set():
                self.turn(session)
                self._over.wait(self.pause_s)

    def turn(self, session: requests.Session) -> None:
        raise AssertionError("each person does something else")

    def ask(self, session: requests.Session, method: str, path: str, **what: object) -> requests.Response | None:
        begun = time.monotonic()
        response = None
        with contextlib.suppress(requests.RequestException):
            response = session.request(method, self._url + path, timeout=PATIENCE_S, allow_redirects=False, **what)
        self.answers.append(Answer(begun, path, response.status_code if response is not None else 0, time.monotonic() - begun))
        return response

    def statuses(self, *, since: float, until: float | None = None) -> Counter[int]:
        return Counter(answer.status for answer in self.answers if since <= answer.at and (until is None or answer.at < until))


class Collector(Person):
    """A collector with a spool: each turn a batch of new readings, and the oldest of those that were not acknowledged."""

    def __init__(self, url: str, *, key: str, miners: int = 20) -> None:
        super().__init__(url)
        self.acknowledged: set[Reading] = set()
        self.last_acknowledged_at = 0.0
        """Monotonic, when the batch was made."""
        self.spool: list[tuple[float, bytes, list[Reading]]] = []
        self._headers = {"X-Collector-Key": key, "Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
        self._names = [f"collected-{number:02d}" for number in range(miners)]

    def turn(self, session: requests.Session) -> None:
        self.spool.append(self._batch())
        for batch in [self.spool[-1], *self.spool[:REPLAYED]]:
            if batch in self.spool and not self._send(session, batch):
                return

    def _batch(self) -> tuple[float, bytes, list[Reading]]:
        now = datetime.now(UTC)
        records = [{"miner_id": name, "timestamp": now.isoformat(), "hashrate_ghs": 95_000.0, "online": True} for name in self._names]
        return time.monotonic(), gzip.compress(json.dumps(records).encode()), [(name, now) for name in self._names]

    def _send(self, session: requests.Session, batch: tuple[float, bytes, list[Reading]]) -> bool:
        """Done only with status 200 and `success: true`, as the agents in the field have it."""
        made_at, body, readings = batch
        response = self.ask(session, "POST", "/api/collector/upload", data=body, headers=self._headers)
        if response is None or response.status_code != 200 or response.json()["success"] is not True:
            return False
        self.acknowledged.update(readings)
        self.last_acknowledged_at = max(self.last_acknowledged_at, made_at)
        self.spool.remove(batch)
        return True


class Operator(Person):
    """Looks at one page after the other, signed in."""

    pause_s = 0.1

    def __init__(self, url: str, *, session_key: str, paths: Iterable[str]) -> None:
        super().__init__(url)
        self._cookie = {"sessionid": session_key}
        self._paths = itertools.cycle(paths)

    def turn(self, session: requests.Session) -> None:
        self.ask(session, "GET", next(self._paths), cookies=self._cookie)
