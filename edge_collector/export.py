"""Looks at a spool from outside, also while the collector runs: it changes nothing."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path

from edge_collector.shelf import Shelf
from edge_collector.spool import Depth
from edge_collector.store import open_to_read


def depth_of(path: Path) -> Depth:
    with contextlib.closing(open_to_read(path)) as db:
        return Depth(*Shelf(db, max_bytes=0, max_age_s=0).totals())


def export(path: Path, target: Path) -> int:
    """Write every record that waits to `target`, a line of JSON each, in the order of the sequence; returns how many."""
    count = 0
    with contextlib.closing(open_to_read(path)) as db, target.open("xb") as file:
        for (packed,) in db.execute("SELECT packed FROM batches ORDER BY seq_start"):
            lines = zlib.decompress(packed)
            file.write(lines + b"\n")
            count += lines.count(b"\n") + 1
    return count
