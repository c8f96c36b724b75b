from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from people import second_factor
from people.lockout import unlock


class Command(BaseCommand):
    help = "Take the second factor from a user who lost both phone and recovery codes, lift their lock and end their sessions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        users: Any = get_user_model().objects
        user = users.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        had_one = second_factor.reset(user, by="manage.py")
        unlock(user.get_username())
        did = "Second factor removed" if had_one else "There was no second factor"
        self.stdout.write(f"{user.get_username()}: {did}; sessions ended, lock lifted. The next login asks for the password only.")
