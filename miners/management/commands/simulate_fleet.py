"""`manage.py simulate_fleet`: a fleet of simulated miners to try the console with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cgminer.simulator import FleetError
from cgminer.simulator.command import add_arguments, run


class Command(BaseCommand):
    help = (
        "Play a fleet of miners that answer the CGMiner API on loopback addresses, until Ctrl-C. A server on the same machine reads them "
        "with HASHINSIGHT_LOCAL_MINERS=true."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run(Namespace(**options), self._say)
        except FleetError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("The simulated miners are gone.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
