"""The demo's collector: reads the miners of one site over TCP and uploads what they said, as an agent at a farm does.

No Django here: all it knows of the server is the address and its key.
"""

from __future__ import annotations

import argparse
import gzip
import logging.config
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import requests
import structlog

from cgminer.address import Address
from cgminer.poll import Outcome, RoundPolicy, Target, poll_round
from cgminer.simulator import MinerSpec
from hashinsight import logs
from hashinsight.demo.fleets import build_fleets

log = structlog.get_logger(__name__)

INTERVAL_S = 60.0
RETRY_S = 2.0
ROUND_DEADLINE_S = 30.0
UPLOAD_TIMEOUT_S = 30.0
SITE, DEVICE = "fjord", "demo-collector"


class Collector:
    """Reads `specs` and uploads to `url`; remembers between rounds how each miner wants to be asked."""

    def __init__(self, specs: Iterable[MinerSpec], *, url: str, key: str) -> None:
        self._targets = {spec.miner_id: Target(spec.miner_id, Address(spec.host, spec.port)) for spec in specs}
        self._url = f"{url.rstrip('/')}/api/collector/upload"
        self._headers = {
            "X-Collector-Key": key,
            "Authorization": f"Bearer {key}",
            "X-Site-ID": SITE,
            "X-Device-ID": DEVICE,
            "X-Upload-Mode": "raw",
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "gzip",
        }

    def run(self) -> None:
        """A round each INTERVAL_S, for ever."""
        while True:
            due = time.monotonic() + INTERVAL_S
            self.upload(self.read(), until=due)
            time.sleep(max(0.0, due - time.monotonic()))

    def read(self) -> list[dict[str, Any]]:
        """One record a miner, in the words of the wire."""
        records = []
        for outcome in poll_round(list(self._targets.values()), policy=RoundPolicy(deadline_s=ROUND_DEADLINE_S)):
            self._remember(outcome)
            records.append(record_of(outcome))
        return records

    def upload(self, records: list[dict[str, Any]], *, until: float) -> bool:
        """Send the batch, again and again while the server is away, until the next one is due (monotonic seconds)."""
        body = gzip.compress(orjson.dumps(records))
        while True:
            if self._send(body):
                log.info("uploaded", records=len(records), online=sum(record["online"] for record in records), bytes=len(body))
                return True
            if time.monotonic() + RETRY_S > until:
                return False
            time.sleep(RETRY_S)

    def _send(self, body: bytes) -> bool:
        try:
            response = requests.post(self._url, data=body, headers=self._headers, timeout=UPLOAD_TIMEOUT_S)
        except requests.RequestException as problem:
            log.warning("server_away", reason=type(problem).__name__)
            return False
        if response.status_code != 200:
            log.warning("upload_refused", status=response.status_code, answer=response.text[:200])
        return response.status_code == 200

    def _remember(self, outcome: Outcome) -> None:
        target = outcome.target
        failures = 0 if outcome.error is None else target.failures + 1
        self._targets[str(target.key)] = Target(target.key, target.address, joined=outcome.joined, failures=failures)


def record_of(outcome: Outcome) -> dict[str, Any]:
    # Agents in the field write naive UTC.
    when = outcome.finished_at.replace(tzinfo=None).isoformat()
    record: dict[str, Any] = {"miner_id": outcome.target.key, "timestamp": when}
    if outcome.snapshot is not None:
        return {**outcome.snapshot.as_record(), **record, "online": True}
    error_type = outcome.error.error_type if outcome.error else "error"
    return {**record, "online": False, "error_type": error_type, "error_message": str(outcome.error)[:500]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    options = parser.parse_args()
    logging.config.dictConfig(logs.configure(form="console", level="INFO"))
    fjord = build_fleets(options.miners, port=options.port).fjord
    Collector(fjord, url=options.url, key=options.key_file.read_text().strip()).run()


if __name__ == "__main__":
    main()
