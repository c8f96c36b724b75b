"""The collector's own figures in Prometheus' text form, written by hand: it is a dozen lines, and a dependency less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Sample = tuple[str, str, str, Mapping[str, str], float | None]
"""Name, type, help, labels, value; None is left out."""


def rendered(samples: Iterable[Sample]) -> str:
    """Samples of one name must follow each other."""
    lines: list[str] = []
    named = ""
    for name, kind, says, labels, value in samples:
        if value is None:
            continue
        if name != named:
            lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
            named = name
        lines.append(f"{name}{_labels(labels)} {value:.17g}")
    return "\n".join(lines) + "\n"


def samples(state: Mapping[str, Any]) -> Iterable[Sample]:
    """The figures of `Agent.state`."""
    prefix = "edge_collector_"
    yield f"{prefix}info", "gauge", "Version of the collector", {"version": state["version"]}, 1
    for name, kind, says, value in _plain(state):
        yield f"{prefix}{name}", kind, says, {}, value
    for result, count in sorted(state["uploads"].items()):
        yield f"{prefix}uploads_total", "counter", "Attempts to upload by what they came to", {"result": result}, count
    for status, count in sorted(state["command_outcomes"].items()):
        yield f"{prefix}commands_total", "counter", "Commands by their outcome", {"status": status}, count
    for job, count in sorted(state["faults"].items()):
        yield f"{prefix}faults_total", "counter", "Mistakes of the program by the job that made them", {"job": job}, count


def _plain(state: Mapping[str, Any]) -> Iterable[tuple[str, str, str, float | None]]:
    yield "miners", "gauge", "Miners of the inventory", state["miners"]
    yield "miners_online", "gauge", "Miners that answered in the last round", state["online"]
    yield "rounds_total", "counter", "Rounds since the start", state["rounds"]
    yield "rounds_skipped_total", "counter", "Rounds left out because the one before took too long", state["rounds_skipped"]
    duration = state["poll_duration_ms"]
    yield "round_seconds", "gauge", "Duration of the last round", None if duration is None else duration / 1000
    yield "spool_records", "gauge", "Records that the server does not have yet", state["spool_records"]
    yield "spool_bytes", "gauge", "Their size on disk", state["spool_bytes"]
    yield "spool_held_records", "gauge", "Of them, held in memory because the disk is full", state["spool_held"]
    yield "spool_lost_records_total", "counter", "Records dropped since the start", state["spool_lost"]
    yield "spool_oldest_seconds", "gauge", "Age of the oldest record that waits", state["spool_oldest_s"]
    yield "records_sent_total", "counter", "Records that the server acknowledged", state["records_sent"]
    yield "records_refused_total", "counter", "Records that the server refused", state["records_refused"]
    yield "bytes_sent_total", "counter", "Bytes of acknowledged uploads", state["bytes_sent"]
    yield "last_success_timestamp_seconds", "gauge", "When the server acknowledged something last", state["last_success_at"]
    yield "commands_open", "gauge", "Commands whose result the server does not have", state["commands_open"]
    yield "events_waiting", "gauge", "Events that the server does not have", state["events_waiting"]
    offset = state["clock_offset_ms"]
    yield "clock_offset_seconds", "gauge", "The server's clock minus this one", None if offset is None else offset / 1000


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
