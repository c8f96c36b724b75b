"""`edge-collector`: what a person can ask of it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_collector import __version__, logs
from edge_collector.agent import Agent, sole_instance
from edge_collector.config import Config, ConfigError, load

CONFIG_VARIABLE = "EDGE_CONFIG"
DEFAULT_CONFIG = "edge-collector.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 well, 1 not, 2 for a configuration that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.work(options)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-collector", description="Reads a farm's miners and brings what they say to HashInsight.")
    parser.add_argument("--version", action="version", version=f"edge-collector {__version__}")
    default = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help=f"its configuration (default: {default})")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = verbs.add_parser("run", help="collect until stopped")
    run.set_defaults(work=_run)
    once = verbs.add_parser("once", help="one round, and everything that waits is sent")
    once.add_argument("--within", type=float, default=60.0, metavar="SECONDS", help="how long to try to send (default: 60)")
    once.set_defaults(work=_once)
    return parser


def _configured(options: argparse.Namespace) -> Config:
    config = load(options.config)
    logs.start(level=config.log.level, form=config.log.form)
    return config


def _run(options: argparse.Namespace) -> int:
    config = _configured(options)
    with sole_instance(config.data):
        agent = Agent(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.crew.stop.set())
        return agent.run()


def _once(options: argparse.Namespace) -> int:
    config = _configured(options)
    with sole_instance(config.data):
        agent = Agent(config)
        arrived = agent.once(within_s=options.within)
        report, waiting = agent.last_round, agent.spool.depth().records
        assert report is not None
        say(f"{report.online} of {report.asked} miners answered; " + ("everything was sent." if arrived else f"{waiting:,} records wait."))
        if not arrived:
            say(f"The server did not take them: {agent.uplink.state.problem or 'there was no time to send'}.")
        agent.close()
        return 0 if arrived else 1


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
