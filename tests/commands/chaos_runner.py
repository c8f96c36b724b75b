"""A runner of the server that carries out what is due at a site, over and over, until it is killed."""

from __future__ import annotations

import sys
import time

import django


def main() -> None:
    django.setup()
    from commands.executor import execute_due
    from sites.models import Site

    site = Site.objects.get(code=sys.argv[1])
    while True:
        execute_due(site)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
