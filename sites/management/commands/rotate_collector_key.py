"""Lets the collectors that use a key fetch a new one."""

from __future__ import annotations

import getpass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sites.keys import KeyNotActive, ask_for_replacement, withdraw_replacement
from sites.models import CollectorKey


class Command(BaseCommand):
    help = (
        "Let the collectors that use a key fetch a new one by themselves, at their next heartbeat. "
        "The old key ends ten minutes after all of them use their new ones."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="the key's id, as list_collector_keys shows it")
        parser.add_argument("--cancel", action="store_true", help="keep the old key after all")

    def handle(self, *, id: int, cancel: bool, **options: Any) -> None:
        key = CollectorKey.objects.select_related("site").filter(pk=id).first()
        if key is None:
            raise CommandError(f"There is no collector key {id}: see manage.py list_collector_keys.")
        name = f"key {key.pk} ({key.prefix}…, {key.name}) of site {key.site.code}"
        if cancel:
            withdrawn = withdraw_replacement(key, withdrawn_by=_caller())
            self.stdout.write(f"Kept {name}." if withdrawn else f"Nobody had asked for a new one: {name} stays as it is.")
            return
        try:
            asked = ask_for_replacement(key, asked_by=_caller())
        except KeyNotActive as error:
            raise CommandError(str(error))
        when = "from now on" if asked else f"since {key.replacement_asked_at:%Y-%m-%d %H:%M} UTC"
        self.stdout.write(f"Collectors may fetch a new key with {name}, {when}; both work for {settings.KEY_OVERLAP_DAYS} days at most.")


def _caller() -> str:
    """Who is at the command line, for the log."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such account, as in a container
        return "command line"
