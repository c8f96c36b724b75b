"""An edge agent as the contract wants it: it remembers on disk what it began and what it did, and answers each command offered again.

One answer in ten is lost on the way, and one in ten is sent twice.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from cgminer.actions import carry_out
from cgminer.address import Address
from cgminer.client import MinerClient, RetryPolicy
from cgminer.errors import MinerError

LOST, REPEATED = 0.1, 0.1


class Journal:
    """The ids of commands that were begun and done, on disk before anything else happens."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        self.words = {line.split()[1]: line.split()[0] for line in lines if len(line.split()) == 2}
        self._lock = threading.Lock()
        self._file = path.open("a")

    def note(self, word: str, command_id: str) -> None:
        with self._lock:
            self.words[command_id] = word
            self._file.write(f"{word} {command_id}\n")
            self._file.flush()
            os.fsync(self._file.fileno())


class Agent:
    def __init__(self, url: str, key: str, port: int, journal: Journal) -> None:
        self.url, self.port, self.journal = url, port, journal
        self.session = requests.Session()
        self.session.headers["X-Collector-Key"] = key

    def work(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            while True:
                try:
                    offered = self.session.get(f"{self.url}/api/edge/v1/commands/poll?limit=50", timeout=5).json()["commands"]
                    list(pool.map(self.handle, offered))
                except (requests.RequestException, ValueError, KeyError):
                    time.sleep(0.2)
                time.sleep(0.1)

    def handle(self, command: dict[str, Any]) -> None:
        before = self.journal.words.get(command["command_id"])
        if before == "done":
            self.answer(command, "skipped", 2)
        elif before == "begun":
            self.answer(command, "error", 1)  # it was stopped in between: nobody knows
        else:
            self.journal.note("begun", command["command_id"])
            status, code = self.carry_out(command)
            self.journal.note("done" if code == 0 else "failed", command["command_id"])
            self.answer(command, status, code)

    def carry_out(self, command: dict[str, Any]) -> tuple[str, int]:
        client = MinerClient(Address(command["ip_address"], self.port), retries=RetryPolicy(attempts=1))
        try:
            carry_out(client, command["command"], command["params"])
        except MinerError:
            return "failed", 1
        return "completed", 0

    def answer(self, command: dict[str, Any], status: str, code: int) -> None:
        fate = random.random()
        for _ in range(0 if fate < LOST else 2 if fate < LOST + REPEATED else 1):
            address = f"{self.url}/api/edge/v1/commands/{command['command_id']}/ack"
            self.session.post(address, json={"status": status, "result_code": code, "device_id": "agent-1"}, timeout=5)


def main() -> None:
    url, key, port, journal = sys.argv[1:5]
    Agent(url, key, int(port), Journal(Path(journal))).work()


if __name__ == "__main__":
    main()
