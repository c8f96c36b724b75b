from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from cgminer.address import Address
from cgminer.errors import MinerError
from cgminer.reading import Answer
from miners.management.tables import table
from telemetry.probe import client_for

UNITS = {
    "hashrate_ghs": "GH/s",
    "hashrate_5s_ghs": "GH/s",
    "hashrate_expected_ghs": "GH/s",
    "temperature_avg": "°C",
    "temperature_min": "°C",
    "temperature_max": "°C",
    "temperature_chips": "°C",
    "fan_speeds": "rpm",
    "frequency_avg": "MHz",
    "power_consumption": "W",
    "efficiency": "J/TH",
    "uptime_seconds": "s",
    "latency_ms": "ms",
}


class Command(BaseCommand):
    requires_system_checks = ()  # it works without a database, to look at a network before anything is set up
    help = "Read one miner, now, and show what it answered and what is understood of it. Nothing is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", metavar="HOST[:PORT]")
        parser.add_argument("--json", action="store_true", help="print the reading under the wire's field names, alone on standard output")

    def handle(self, *, address: str, json: bool, **options: Any) -> None:
        now = timezone.now()
        try:
            miner = Address.parse(address)
            answer = client_for(miner, attempts=settings.POLL_ATTEMPTS).read_snapshot()
        except MinerError as error:
            if json:
                self._write_json(
                    {"timestamp": now.isoformat(), "online": False, "error_type": error.error_type, "error_message": str(error)}
                )
            raise CommandError(f"{error} [{error.error_type}]")
        record = answer.snapshot.as_record()
        if json:
            self._write_json({"timestamp": now.isoformat(), "online": True, "ip_address": miner.host, **record})
        else:
            self._write_text(answer, record)

    def _write_json(self, record: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(record, indent=2, ensure_ascii=False))

    def _write_text(self, answer: Answer, record: Mapping[str, Any]) -> None:
        for command, raw in answer.raw.items():
            self.stdout.write(self.style.MIGRATE_HEADING(f"{command}: {len(raw)} bytes as received"))
            self.stdout.write(raw.decode("utf-8", "backslashreplace").replace("\0", "\\0"))
        self.stdout.write(self.style.MIGRATE_HEADING("understood"))
        snapshot = answer.snapshot
        known = {"maker": snapshot.maker, "serial_number": snapshot.serial_number, "mac_address": snapshot.mac_address, **record}
        rows = [(name, _text(value), UNITS.get(name, "")) for name, value in known.items() if value is not None]
        self.stdout.write(table(("field", "value", "unit"), rows))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value) if value and isinstance(value[0], dict) else ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
