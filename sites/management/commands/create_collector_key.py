"""Makes a collector key and prints it, alone, on standard output."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sites.keys import create_key
from sites.management.sites import OR_CREATE, create_site, site_by_code


class Command(BaseCommand):
    help = "Make a key for a site's collector. The key is printed once, alone on standard output; only its digest is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", required=True, metavar="CODE", help="the site's code")
        parser.add_argument("--create-site", action="store_true", help="make the site when there is none of that code")
        parser.add_argument("--name", required=True, help="where the key is used, e.g. 'container 3'")
        parser.add_argument("--expires-days", type=int, metavar="N", help="stop accepting the key after N days")

    def handle(self, *, site: str, create_site: bool, name: str, expires_days: int | None, **options: Any) -> None:
        if not name.strip() or len(name) > 100:
            raise CommandError("--name must have 1 to 100 characters.")
        if expires_days is not None and not 1 <= expires_days <= 36_500:
            raise CommandError("--expires-days must be 1 to 36500.")
        chosen = self._made(site) if create_site else site_by_code(site, otherwise=OR_CREATE)
        expires_at = timezone.now() + timedelta(days=expires_days) if expires_days else None
        key, secret = create_key(chosen, name=name.strip(), expires_at=expires_at)
        self.stderr.write(f"Key {key.pk} for site {chosen.code}; it can't be shown again.", self.style.NOTICE)
        self.stdout.write(secret)

    def _made(self, code: str) -> Any:
        site, created = create_site(code)
        if created:
            self.stderr.write(f"Site {code} made.", self.style.NOTICE)
        return site
