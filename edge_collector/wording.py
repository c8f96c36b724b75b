"""The collector's state in words, for its page and its command line alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

Line = tuple[str, str, str]
"""What it is about, the sentence, and whether it is "good", "bad" or neither ("")."""


def lines_of(state: Mapping[str, Any]) -> Iterator[Line]:
    yield "Program", f"version {state['version']}, running for {span(state['running_s'])}", ""
    yield "Miners", *_miners(state)
    yield "Server", *_server(state)
    yield "Waiting", *_spool(state)
    if state["spool_lost"]:
        yield "Lost", f"{state['spool_lost']:,} records were dropped since the start; the server is told which", "bad"
    if state["spool_held"]:
        yield "Disk", f"full: {state['spool_held']:,} records are in memory alone; free some space", "bad"
    yield "Commands", f"{state['commands_open']} without an acknowledged result" if state["commands_open"] else "none open", ""
    yield "Clock", *_clock(state["clock_offset_ms"])
    if state["faults"]:
        yield "Faults", ", ".join(f"{job}: {count}" for job, count in sorted(state["faults"].items())) + "; see the log", "bad"


def span(seconds: float) -> str:
    """ "3 min", "5 h 20 min", "12 days"."""
    minutes = int(seconds // 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2_880 else f"{minutes // 1_440} days"


def size(number: float) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"


def _miners(state: Mapping[str, Any]) -> tuple[str, str]:
    if state["poll_duration_ms"] is None:
        return f"{state['miners']:,} known; the first round is under way", ""
    seconds = state["poll_duration_ms"] / 1000
    tone = "bad" if state["miners"] and not state["online"] else ""
    return f"{state['online']:,} of {state['miners']:,} answered in the last round, which took {seconds:.1f} s", tone


def _server(state: Mapping[str, Any]) -> tuple[str, str]:
    last = state["last_success_at"]
    when = "nothing was acknowledged since the start" if last is None else f"last acknowledgement {span(time.time() - last)} ago"
    if state["problem"]:
        return f"{state['url']}: {state['problem']}; {when}", "bad"
    return f"{state['url']}: {when}", "good" if last else ""


def _spool(state: Mapping[str, Any]) -> tuple[str, str]:
    if not state["spool_records"]:
        return "nothing", "good"
    age = "" if state["spool_oldest_s"] is None else f", the oldest {span(state['spool_oldest_s'])} old"
    return f"{state['spool_records']:,} records ({size(state['spool_bytes'])}){age}", ""


def _clock(offset_ms: int | None) -> tuple[str, str]:
    if offset_ms is None:
        return "not compared with the server's yet", ""
    if abs(offset_ms) < 5_000:
        return f"within {abs(offset_ms) / 1000:.1f} s of the server's", ""
    way = "behind" if offset_ms > 0 else "ahead of"
    return f"{span(abs(offset_ms) / 1000)} {way} the server's: set up time synchronisation", "bad"
