"""The demo's collector: the edge collector itself, on the list of one site's simulated miners.

No Django here: all it knows of the server is the address and its key.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cgminer.simulator import write_inventory
from edge_collector import cli
from hashinsight.demo.fleets import build_fleets

SITE, DEVICE = "fjord", "demo-collector"
MOST_SECONDS_APART = "2"
"""Rounds of the demo start nearly together with the server's polls: whoever looks at it waits for the first one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for its spool and the list of its miners")
    options = parser.parse_args()
    options.folder.mkdir(mode=0o700, exist_ok=True)
    write_inventory(build_fleets(options.miners, port=options.port).fjord, options.folder / "miners.csv")
    os.environ.update(_settings(options))
    sys.exit(cli.main(["--config", str(options.folder / "edge-collector.toml"), "run"]))


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """All of its configuration: there is no file to go stale between two starts."""
    return {
        "EDGE_SERVER_URL": options.url,
        "EDGE_SERVER_SITE_ID": SITE,
        "EDGE_SERVER_DEVICE_ID": DEVICE,
        "EDGE_SERVER_KEY_FILE": str(options.key_file.absolute()),
        "EDGE_SERVER_PROXY": "none",
        "EDGE_MINERS_CSV": "miners.csv",
        "EDGE_LOOP_JITTER_S": MOST_SECONDS_APART,
        "EDGE_SPOOL_MAX_MB": "100",
        "EDGE_STATUS_PORT": "0",
    }


if __name__ == "__main__":
    main()
