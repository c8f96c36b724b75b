"""A child that fills the small disk at FOLDER with a spool, then with somebody else's file, and says what came of it as JSON."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from edge_collector.batch import record_line
from edge_collector.outbox import Outbox
from edge_collector.spool import Spool
from tests.edge_collector.makers import make_spool, readings_of


def main() -> None:
    folder = Path(sys.argv[1])
    spool = make_spool(folder / "spool")
    rounds = 0
    while not spool.lost_records or rounds % 50:
        keep(spool, f"{rounds}")
        rounds += 1
    (gap,) = [json.loads(details) for (details,) in spool.db.execute("SELECT details FROM events")]
    depth = spool.depth()
    said = {
        "rounds": rounds,
        "records": depth.records,
        "gap": gap,
        "newest": newest(spool),
        "held": depth.held,
    }
    while batch := spool.take_live() or spool.take_backlog():
        spool.acknowledge(batch)
    while spool.give_back_space(keep_pages=0):
        pass
    spool.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    fill(folder / "other")
    (folder / "spool" / "ballast").unlink(missing_ok=True)
    fill(folder / "more")
    number = 0
    while not spool.depth().held and number < 500:
        number += 1
        keep(spool, f"full{number}")
    live = spool.take_live()
    said |= {"number": number, "held_when_full": spool.depth().held, "live": json.loads(live.lines()[0])["miner_id"]}
    spool.acknowledge(live)
    said["after_acknowledgement"] = spool.depth().held
    keep(spool, "still-full")
    (folder / "other").unlink()
    (folder / "more").unlink()
    keep(spool, "free")
    said["held_when_free"] = spool.depth().held
    said["kept"] = sorted({name.partition(" ")[0] for name, _ in readings_of(spool)})
    spool.close()
    said["restarts"] = restart_on_full_disk(folder)
    sys.stdout.write(json.dumps(said))


def restart_on_full_disk(folder: Path) -> str:
    """What a second start on a disk without any room left, in a folder of its own, still takes and sends."""
    place = folder / "second"
    spool = make_spool(place)
    keep(spool, "before")
    Outbox(spool).put("started", "hello")
    spool.close()
    fill(folder / "other")
    again = make_spool(place)
    outbox = Outbox(again)
    outbox.put("started", "again")
    keep(again, "after")
    kept = {name.partition(" ")[0] for name, _ in readings_of(again)}
    return f"{sorted(kept)} {len(outbox.take())}"


def keep(spool: Spool, name: str) -> None:
    """A round of 2,000 records that do not compress well."""
    lines = [record_line({"miner_id": f"{name} {secrets.token_hex(12)}", "timestamp": "2026-03-01T00:00:00.000Z"}) for _ in range(2_000)]
    spool.append(lines, first_at=1_772_323_200.0, last_at=1_772_323_200.0)


def newest(spool: Spool) -> str:
    batch = spool.take_live()
    spool.put_back(batch)
    return json.loads(batch.lines()[-1])["miner_id"]


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


if __name__ == "__main__":
    main()
