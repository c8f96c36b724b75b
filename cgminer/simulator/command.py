"""The simulator as a program: its options, and running it until it is interrupted."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from cgminer.address import DEFAULT_PORT
from cgminer.simulator.catalogue import API3_MODELS, MODELS
from cgminer.simulator.fleet import SimulatedFleet
from cgminer.simulator.server import FleetError
from cgminer.simulator.spec import COMMON_MIX, MinerSpec, State, build_fleet, write_inventory

_SHARES = {
    State.DEAD: "that accept a connection and never answer",
    State.REFUSED: "that are switched off",
    State.SLOW: "that answer after three seconds",
    State.OVERHEATED: "that stopped hashing because of the heat",
    State.BOARD_LOST: "that miss a hash board",
    State.SLEEPING: "that sleep",
    State.DENIED: "whose API does not let this machine in",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=_positive, default=200, help="number of miners (default: %(default)s)")
    parser.add_argument("--first-address", default="127.0.10.1", help="loopback address of the first one (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="API port of all of them (default: %(default)s)")
    parser.add_argument("--latency", type=_latency, default=(0.02, 0.08), metavar="MIN-MAX", help="answering time in ms (default: 20-80)")
    for state, who in _SHARES.items():
        parser.add_argument(
            f"--{state.replace('_', '-')}", type=_share, default=0.0, metavar="SHARE", help=f"part of the fleet, 0 to 1, {who}"
        )
    parser.add_argument("--model", choices=[*MODELS, *API3_MODELS], help="all of one model (default: a mix)")
    parser.add_argument("--inventory", type=Path, metavar="FILE.csv", help="write the fleet as an inventory to import")
    parser.add_argument("--control-log", type=Path, metavar="FILE", help="append every control command that reaches a miner, as JSON lines")
    parser.add_argument("--restart-seconds", type=float, default=6.0, help="how long a restarted miner is away (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives another fleet (default: %(default)s)")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Play the fleet until KeyboardInterrupt. Raises FleetError, whose message is for the person who typed the options."""
    specs = fleet_of(options)
    if options.inventory:
        _write(specs, options.inventory)
    fleet = SimulatedFleet(specs, latency=options.latency, restart_s=options.restart_seconds, control_log=options.control_log)
    fleet.bind()
    first, last = specs[0], specs[-1]
    say(f"{len(specs)} simulated miners answer from {first.host}:{first.port} to {last.host}:{last.port}. Ctrl-C ends them.")
    fleet.serve_forever()


def fleet_of(options: argparse.Namespace) -> list[MinerSpec]:
    """The specs that the options describe: the same options always give the same fleet."""
    try:
        return build_fleet(
            options.count,
            first_address=options.first_address,
            port=options.port,
            shares={state: getattr(options, state.value) for state in _SHARES},
            models=[(options.model, 1)] if options.model else COMMON_MIX,
            seed=options.seed,
        )
    except ValueError as error:
        raise FleetError(f"--first-address {options.first_address}: {error}") from error


def _write(specs: list[MinerSpec], path: Path) -> None:
    try:
        write_inventory(specs, path)
    except OSError as error:
        raise FleetError(f"cannot write {path}: {error.strerror}") from error


def _positive(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of miners")


def _port(text: str) -> int:
    if text.isdigit() and 0 < int(text) < 65_536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")


def _share(text: str) -> float:
    value = _number(text)
    if 0 <= value <= 1:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1, such as 0.05")


def _latency(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    least, most = _number(low), _number(high or low)
    if 0 <= least <= most < math.inf:
        return least / 1000, most / 1000
    raise argparse.ArgumentTypeError(f"{text!r} is not a range of milliseconds such as 20-80")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
