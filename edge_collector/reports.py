"""What the collector tells the server of itself: its heartbeat and its events; and the key that it fetches when one is ready."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from edge_collector.answers import Answer, Meaning, read_answer
from edge_collector.config import Config
from edge_collector.keys import KeyRing
from edge_collector.link import Link, LinkError
from edge_collector.logs import EventLog
from edge_collector.outbox import Outbox
from edge_collector.pace import Backoff

log = EventLog(__name__)

HEARTBEAT = "/api/edge/v1/heartbeat"
EVENTS = "/api/edge/v1/events"
ROTATE = "/api/edge/v1/key/rotate"
OLDER_SERVER_S: Final = 600.0
_JSON: Final = {"Content-Type": "application/json"}


class Reporter:
    """`beat` and `send_events` make one attempt each and return the seconds until the next; `run` goes on until `stop`."""

    def __init__(self, config: Config, outbox: Outbox, keys: KeyRing, *, link: Link, health: Callable[[], Mapping[str, Any]]) -> None:
        """`health` gives the heartbeat's body but for who says it and when."""
        self._config, self._outbox, self._keys, self._link, self._health = config, outbox, keys, link, health
        self._events_backoff = Backoff(config.uplink.backoff_s, 300.0)
        self.clock_offset_ms: int | None = None
        """The server's clock minus ours; None while it is not known."""
        self.last_beat_at: float | None = None
        self._warned = False

    def run(self, stop: threading.Event) -> None:
        beat_at = events_at = 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now >= beat_at:
                beat_at = now + self.beat()
            if now >= events_at:
                events_at = now + self.send_events()
            stop.wait(max(0.02, min(beat_at, events_at) - time.monotonic()))

    def beat(self) -> float:
        server, sent = self._config.server, time.time()
        body = {"device_id": server.device_id, "zone_id": server.zone_id, **self._health(), "clock_offset_ms": self.clock_offset_ms}
        answer = self._post(HEARTBEAT, body)
        if answer is None:
            return self._config.uplink.heartbeat_s
        if answer.meaning is Meaning.MISSING:
            return max(OLDER_SERVER_S, self._config.uplink.heartbeat_s)
        if answer.meaning is Meaning.KEY and self._keys.go_back():
            return 0.0
        if answer.meaning is Meaning.ACCEPTED:
            self._keys.confirm()
            self.last_beat_at = time.time()
            self._learn_clock(answer.document.get("server_time"), sent, time.time())
            if answer.document.get("key_rotation_available") is True and self._rotated():
                return 0.0
        return answer.retry_after_s or self._config.uplink.heartbeat_s

    def send_events(self) -> float:
        events = self._outbox.take()
        if not events:
            return min(2.0, self._config.uplink.heartbeat_s)
        server = self._config.server
        answer = self._post(EVENTS, {"device_id": server.device_id, "zone_id": server.zone_id, "events": events})
        if answer is not None and answer.meaning is Meaning.MISSING:
            return OLDER_SERVER_S
        if answer is not None and answer.meaning in (Meaning.ACCEPTED, Meaning.REFUSED):
            if answer.meaning is Meaning.REFUSED:
                log.error("events_refused", count=len(events), answer=answer.words)
            self._outbox.arrived(events)
            self._events_backoff.succeeded()
            return 0.0
        return max(self._events_backoff.failed(), (answer.retry_after_s or 0.0) if answer else 0.0)

    def _rotated(self) -> bool:
        """Fetch the new key with the old one; both are good until the next heartbeat said so with the new one."""
        if not self._keys.may_change:
            if not self._warned:
                log.warning("key_cannot_be_replaced", because="it comes from EDGE_KEY; put it into a file to let the server replace it")
            self._warned = True
            return False
        answer = self._post(ROTATE, {"device_id": self._config.server.device_id})
        if answer is None or answer.meaning is not Meaning.ACCEPTED:
            return False
        return self._keys.replace(str(answer.document.get("key", "")))

    def _post(self, path: str, body: Mapping[str, Any]) -> Answer | None:
        """None when nobody answered."""
        try:
            answer = read_answer(self._link.post(path, json.dumps(body).encode(), headers=_JSON))
        except LinkError as error:
            log.debug("report_failed", path=path, reason=str(error))
            return None
        if answer.meaning not in (Meaning.ACCEPTED, Meaning.MISSING):
            log.debug("report_not_taken", path=path, answer=answer.words)
        return answer

    def _learn_clock(self, said: Any, sent: float, received: float) -> None:
        try:
            moment = datetime.fromisoformat(str(said).replace("Z", "+00:00")).timestamp()
        except ValueError:
            return
        offset = round((moment - (sent + received) / 2) * 1000)
        if abs(offset) > 60_000 and abs((self.clock_offset_ms or 0) - offset) > 10_000:
            log.warning("clock_is_wrong", offset_ms=offset, remedy="set up time synchronisation (timedatectl set-ntp true)")
        self.clock_offset_ms = offset

    def close(self) -> None:
        self._link.close()
