"""What is counted of commands, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

COMMANDS = Counter("miner_command_total", "Commands by type, each time one comes to a status.", ["command", "status"])
VERIFIED_AFTER = Histogram(
    "miner_command_verification_seconds",
    "From handing a command out to the reading that proves it.",
    ["command"],
    buckets=(5, 15, 30, 60, 90, 120, 180, 300, 600),
)
JUDGED = Counter("miner_command_judged_total", "Commands by what telemetry proves of them.", ["command", "verification"])
EXECUTION = Histogram(
    "miner_command_execution_seconds",
    "From asking for a command to this server's word to the miner.",
    ["command"],
    buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
