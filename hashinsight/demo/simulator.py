"""The demo's miners as a program: every one of them listens on loopback until the program is ended."""

from __future__ import annotations

import argparse
import sys

from cgminer.simulator import FleetError, SimulatedFleet
from hashinsight.demo.fleets import build_fleets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    fleet = SimulatedFleet(build_fleets(options.miners, port=options.port).specs)
    try:
        fleet.bind()
    except FleetError as error:
        sys.exit(str(error))
    fleet.serve_forever()


if __name__ == "__main__":
    main()
