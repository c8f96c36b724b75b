"""Revokes one collector key by its number."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sites.keys import revoke_key
from sites.models import CollectorKey


class Command(BaseCommand):
    help = "Stop accepting a collector key, by the id that list_collector_keys shows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="the key's id")

    def handle(self, *, id: int, **options: Any) -> None:
        key = CollectorKey.objects.select_related("site").filter(pk=id).first()
        if key is None:
            raise CommandError(f"There is no collector key {id}: see manage.py list_collector_keys.")
        if revoke_key(key):
            self.stdout.write(f"Revoked key {key.pk} ({key.prefix}…, {key.name}) of site {key.site.code}.")
        else:
            self.stdout.write(f"Key {key.pk} was revoked before, at {key.revoked_at:%Y-%m-%d %H:%M} UTC.")
