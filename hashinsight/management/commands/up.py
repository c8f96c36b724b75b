"""`manage.py up`: the web server and the background workers, supervised."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hashinsight import up
from hashinsight.instance import CannotStart, Instance
from hashinsight.supervisor import Supervisor
from hashinsight.web import listen, url_of


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"“{text}” is not a number of processes: give 1 or more")
    return int(text)


class Command(BaseCommand):
    help = "Migrate, then run the web server and the background workers until Ctrl-C; whatever dies or hangs is started again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s; 0.0.0.0: every network)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default %(default)s)")
        parser.add_argument(
            "--web-workers",
            type=at_least_one,
            default=up.default_web_workers(),
            metavar="N",
            help="web server processes (default: 2 with REDIS_URL, else 1, each process counts rate limits for itself; here %(default)s)",
        )
        parser.add_argument("--no-cluster", action="store_true", help="the web server only: the background workers run elsewhere")

    def handle(self, *args: Any, host: str, port: int, web_workers: int, no_cluster: bool, **options: Any) -> None:
        try:
            with up.interruptible():
                instance = Instance(up.run_directory())
                leftovers = instance.claim()
                listener = listen(host, port)
                up.prepare(self.stdout.write)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped before it was ready.", returncode=130) from None
        if leftovers:
            self.stdout.write(f"Ended what an earlier start had left running (process groups {', '.join(map(str, leftovers))}).")
        programs = up.programs(listener, web_workers=web_workers, with_cluster=not no_cluster)
        supervisor = Supervisor(programs, instance=instance, address=url_of(listener), directory=settings.BASE_DIR)
        supervisor.handle_signals()
        self.stdout.write(f"HashInsight answers at {url_of(listener)}  (Ctrl-C stops it)")
        supervisor.run()
        up.forget_metrics()
        instance.release()
