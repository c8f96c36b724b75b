"""`python -m cgminer.simulator`: a simulated fleet without Django."""

from __future__ import annotations

import argparse
import sys

from cgminer.simulator.command import add_arguments, run
from cgminer.simulator.server import FleetError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cgminer.simulator", description="Play a fleet of miners on loopback addresses.")
    add_arguments(parser)
    try:
        run(parser.parse_args(), _say)
    except FleetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
