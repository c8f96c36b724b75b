"""Hand-written replies, one folder a machine, one file a command; made up, each with the quirks of its firmware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cgminer.parsers import parse_snapshot
from cgminer.snapshot import Snapshot
from cgminer.wire import decode

SAMPLES = Path(__file__).parent / "samples"


def raw(machine: str, command: str) -> bytes:
    return (SAMPLES / machine / f"{command}.txt").read_bytes()


def replies(machine: str, *commands: str) -> dict[str, dict[str, Any]]:
    files = sorted((SAMPLES / machine).glob("*.txt"))
    return {file.stem: decode(file.read_bytes()) for file in files if not commands or file.stem in commands}


def snapshot(machine: str, *commands: str) -> Snapshot:
    return parse_snapshot(replies(machine, *commands))


def machines() -> list[str]:
    return sorted(folder.name for folder in SAMPLES.iterdir() if folder.is_dir())
