"""A child that works on a spool until it is killed, and writes down what the spool has promised, each line as soon as it holds.

python -m tests.edge_collector.spool_writer FOLDER JOURNAL ROUND
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

from tests.edge_collector.makers import make_spool, put_round


def main() -> None:
    folder, journal, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(word: str, what: object) -> None:
        os.write(file, f"{json.dumps([word, what])}\n".encode())

    chance = random.Random(number)
    spool = make_spool(folder, max_records=60)
    note("open", number)
    while True:
        note("keeping", number)
        put_round(spool, 20, at=number)
        note("kept", number)
        number += 1
        if chance.random() < 0.4:
            spool.merge_some()
        batch = spool.take_live() if chance.random() < 0.5 else spool.take_backlog()
        if batch is None:
            continue
        readings = [(record["miner_id"], record["timestamp"]) for record in map(json.loads, batch.lines())]
        if chance.random() < 0.2:
            spool.split(batch)
        elif chance.random() < 0.5:
            spool.put_back(batch)
        else:
            note("acknowledging", readings)
            spool.acknowledge(batch)
            note("acknowledged", readings)


if __name__ == "__main__":
    main()
