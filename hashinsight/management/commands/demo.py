"""`manage.py demo`: a simulated farm, polled and uploaded, in the real product. `scripts/demo` calls this."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hashinsight.demo.run import Demo
from hashinsight.demo.world import MARK, World
from hashinsight.instance import CannotStart
from hashinsight.up import interruptible

MOST_MINERS = 5_000


def miner_count(text: str) -> int:
    if not text.isdecimal() or not 10 <= int(text) <= MOST_MINERS:
        raise ArgumentTypeError(f"“{text}”: give a number of miners from 10 to {MOST_MINERS}")
    return int(text)


class Command(BaseCommand):
    help = "Run a demo farm: simulated miners, a collector, the web server and the background workers, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port of the web server (default %(default)s)")
        parser.add_argument("--miners", type=miner_count, default=200, metavar="N", help="simulated miners (default %(default)s)")
        parser.add_argument("--fresh", action="store_true", help="forget the demo's data and begin anew")

    def handle(self, *args: Any, host: str, port: int, miners: int, fresh: bool, **options: Any) -> None:
        world = World(settings.DATA_DIR)
        if MARK not in os.environ:
            # Settings are read once a process, so the demo's own ones need a new process.
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **world.environment()})
        try:
            with interruptible():
                demo = Demo(world, host=host, port=port, miners=miners, say=self.say)
                demo.prepare(fresh=fresh)
            demo.run()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped before it was ready. scripts/demo goes on from there.", returncode=130) from None

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
