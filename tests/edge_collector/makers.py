"""Configurations, spools and records for the collector's tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgminer.simulator import MinerSpec, write_inventory
from edge_collector.batch import record_line
from edge_collector.config import Config, load
from edge_collector.spool import Spool

KEY = "hsc_" + "k" * 43
QUICK = {
    "loop": {"interval_s": 0.5, "jitter_s": 0.05, "patience_s": 0.4, "hand_over_s": 0.3},
    "uplink": {"backoff_s": 0.05, "backoff_max_s": 0.3, "heartbeat_s": 0.3},
    "commands": {"poll_s": 0.2, "effect_s": 3.0},
    "server": {"timeout_s": 5.0},
    "status": {"port": 0},
}
"""The clock shortened a hundred times."""


def write_config(folder: Path, *, url: str, site: str = "north", key: str = KEY, **sections: Mapping[str, Any]) -> Path:
    """A configuration with quick settings; `sections` add to it and count more."""
    key_file = folder / "collector.key"
    key_file.write_text(key)
    key_file.chmod(0o600)
    wanted: dict[str, dict[str, Any]] = {name: dict(values) for name, values in QUICK.items()}
    wanted["server"] |= {"url": url, "site_id": site, "device_id": "pi-1", "proxy": "none"}
    for name, values in sections.items():
        wanted.setdefault(name, {}).update(values)
    if not any(name in wanted.get("miners", {}) for name in ("csv", "ranges")):
        wanted.setdefault("miners", {})["csv"] = "miners.csv"
    lines = [
        line for name, values in wanted.items() for line in (f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()))
    ]
    path = folder / "edge-collector.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def make_config(folder: Path, *, url: str = "http://127.0.0.1:9", specs: list[MinerSpec] | None = None, **more: Any) -> Config:
    path = write_config(folder, url=url, **more)
    if specs is not None:
        write_inventory(specs, folder / "miners.csv")
    return load(path, {})


def make_spool(folder: Path, **limits: Any) -> Spool:
    return Spool(folder / "spool.sqlite3", **{"max_bytes": 1e9, "max_age_s": 1e9, **limits})


def make_lines(count: int, *, at: int = 0, miner: str = "m") -> list[bytes]:
    """Records of `count` miners at second `at` of a fixed day."""
    moment = f"2026-03-01T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}.000Z"
    return [
        record_line({"miner_id": f"{miner}{number:05d}", "timestamp": moment, "online": True, "hashrate_ghs": 95_000.0 + number + at})
        for number in range(count)
    ]


def put_round(spool: Spool, count: int, *, at: int = 0, miner: str = "m") -> None:
    base = 1_772_323_200.0
    spool.append(make_lines(count, at=at, miner=miner), first_at=base + at, last_at=base + at)


def readings_of(spool: Spool) -> list[tuple[str, str]]:
    """Everything that is kept, in the order of the sequence."""
    rows = []
    batches = []
    while batch := spool.take_live() or spool.take_backlog():
        batches.append(batch)
    for batch in sorted(batches, key=lambda each: each.seq_start):
        rows += [(record["miner_id"], record["timestamp"]) for record in map(json.loads, batch.lines())]
        spool.put_back(batch)
    return rows


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)
