"""`edge-collector`: what a person can ask of it."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from edge_collector import __version__, logs
from edge_collector.agent import SPOOL_FILE, Agent, open_spool, sole_instance
from edge_collector.batch import iso_of
from edge_collector.check import check
from edge_collector.config import Config, ConfigError, load
from edge_collector.discovery import addresses_in, scan
from edge_collector.export import depth_of, export
from edge_collector.status import running_state
from edge_collector.wizard import Asker, init
from edge_collector.wording import lines_of, size, span

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
    for name, work, says in _VERBS:
        verbs.add_parser(name, help=says).set_defaults(work=work)
    once = verbs.add_parser("once", help="one round, and everything that waits is sent")
    once.add_argument("--within", type=float, default=60.0, metavar="SECONDS", help="how long to try to send (default: 60)")
    once.set_defaults(work=_once)
    spool = verbs.add_parser("spool", help="what waits on disk; export or drop it")
    spool.add_argument("--export", type=Path, metavar="FILE", help="write all records that wait to FILE, a line of JSON each")
    spool.add_argument("--drop", action="store_true", help="drop all that waits; the server is told what")
    spool.add_argument("--yes", action="store_true", help="do not ask before dropping")
    spool.set_defaults(work=_spool)
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


def _init(options: argparse.Namespace) -> int:
    try:
        config = init(options.config, Asker(ask=input, ask_secretly=getpass.getpass, say=say))
    except EOFError:
        raise ConfigError(["The answers ended before the last question: nothing was written."]) from None
    except OSError as error:
        where = error.filename or options.config
        raise ConfigError([f"{where}: cannot be written ({error.strerror}); run it where this user may write."]) from error
    say(f"Written: {options.config} and {config.key_file}. Next: edge-collector --config {options.config} check")
    return 0


def _check(options: argparse.Namespace) -> int:
    findings = []
    for finding in check(load(options.config)):
        say(str(finding))
        findings.append(finding)
    fatal = sum(finding.is_fatal for finding in findings)
    say(f"{fatal} to put right before it can work." if fatal else "Ready: edge-collector run")
    return 1 if fatal else 0


def _discover(options: argparse.Namespace) -> int:
    config = _configured(options)
    if not config.miners.ranges:
        raise ConfigError([f"{options.config}: [miners] ranges: there is no range to search; name one such as 10.1.0.0/22."])
    found, denied = scan(addresses_in(config.miners.ranges, port=config.miners.port), most_in_flight=config.loop.most_in_flight)
    for each in sorted(found, key=lambda one: ip_address(one.address.host)):
        marks = each.marks
        known = (each.model, marks.serial_number, marks.mac_address, marks.worker_name)
        say("  ".join([f"{each.address!s:<22}", *(f"{word or '-':<22}" for word in known)]).rstrip())
    say(f"{len(found):,} miners found" + (f"; {denied:,} addresses hang up on us (api-allow)." if denied else "."))
    return 0 if found else 1


def _status(options: argparse.Namespace) -> int:
    config = load(options.config)
    state = running_state(config.data)
    if state is None:
        say("The collector does not run, or has no status page.")
        _say_depth(config)
        return 1
    for about, says, tone in lines_of(state):
        say(f"{about + ':':<10} {says}{'  (!)' if tone == 'bad' else ''}")
    return 0


def _spool(options: argparse.Namespace) -> int:
    config = load(options.config)
    logs.start(level="WARNING", form="text")
    if not (config.data / SPOOL_FILE).exists():
        say(f"Nothing waits: {config.data / SPOOL_FILE} was not made yet.")
        return 0
    if options.export:
        say(f"{export(config.data / SPOOL_FILE, options.export):,} records written to {options.export}; they still wait as well.")
    if options.drop:
        return _drop(config, asked=options.yes)
    _say_depth(config)
    return 0


def _drop(config: Config, *, asked: bool) -> int:
    if not asked and input("Drop everything that waits? The server will show the gap. Write yes: ").strip() != "yes":
        say("Nothing was dropped.")
        return 1
    with sole_instance(config.data):
        spool = open_spool(config)
        say(f"{spool.drop_all():,} records dropped; the server is told with the next start.")
        spool.close()
    return 0


def _say_depth(config: Config) -> None:
    if not (config.data / SPOOL_FILE).exists():
        return
    depth = depth_of(config.data / SPOOL_FILE)
    oldest = (
        ""
        if depth.oldest_at is None
        else f", the oldest from {iso_of(depth.oldest_at)} ({span(max(0.0, time.time() - depth.oldest_at))} ago)"
    )
    say(f"{depth.records:,} records wait in {depth.batches:,} batches, {size(depth.bytes)}{oldest}.")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_VERBS: Final = (
    ("init", _init, "ask a few questions and write the configuration"),
    ("check", _check, "test key, server, clock, disk and three miners, and say what is wrong"),
    ("run", _run, "collect until stopped"),
    ("status", _status, "how the running collector is"),
    ("discover", _discover, "search the ranges and list the miners found; changes nothing"),
)
