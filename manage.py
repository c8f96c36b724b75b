#!/usr/bin/env python
"""HashInsight's command line."""

from __future__ import annotations

import os
import sys


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(f"HashInsight needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable}).")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hashinsight.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import OperationalError, ProgrammingError
    except ImportError:
        sys.exit("Django is not installed for this Python. Run scripts/demo once, or: pip install -r requirements.txt")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Configuration: {error}")
    except (OperationalError, ProgrammingError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(_database_trouble(str(error).strip().splitlines()[0], behind=isinstance(error, ProgrammingError)))


def _database_trouble(reason: str, *, behind: bool) -> str:
    """`behind`: PostgreSQL misses a table; SQLite says so in words only."""
    behind = behind or any(sign in reason for sign in ("no such table", "no such column", "has no column"))
    cure = "run manage.py migrate" if behind else "check DATABASE_URL and that the database server runs"
    return f"Database: {reason}: {cure}. (--traceback shows where.)"


if __name__ == "__main__":
    main()
