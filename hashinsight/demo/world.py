"""What the demo keeps in the data directory, and the environment it runs in whatever a developer has in `.env`."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARK = "HASHINSIGHT_DEMO"
OWN_HOSTS = "127.0.0.1,localhost,[::1]"
# No 0/O, 1/l/I: people type this from a screen.
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
PASSWORD_LENGTH = 14


@dataclass(frozen=True, slots=True)
class World:
    """The demo's files in `data`. All but the secret are gone after `erase`."""

    data: Path

    @property
    def secret_key(self) -> Path:
        return self.data / "demo-secret-key"

    @property
    def login(self) -> Path:
        return self.data / "demo-login"

    @property
    def collector_key(self) -> Path:
        return self.data / "demo-collector-key"

    @property
    def collector_folder(self) -> Path:
        """What the collector keeps on disk until the server has it."""
        return self.data / "demo-collector"

    @property
    def log(self) -> Path:
        return self.data / "demo.log"

    @property
    def database(self) -> Path:
        return self.data / "hashinsight.sqlite3"

    def environment(self) -> dict[str, str]:
        """SQLite in the data directory, DEBUG off, a secret of its own, loopback only: not what a real installation has in `.env`."""
        return {
            MARK: "1",
            "DEBUG": "False",
            "SECRET_KEY": kept(self.secret_key, make=lambda: secrets.token_urlsafe(50)),
            "ALLOWED_HOSTS": OWN_HOSTS,
            "CSRF_TRUSTED_ORIGINS": "",
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "HASHINSIGHT_HTTPS": "False",
            "HASHINSIGHT_LOG_FORMAT": "console",
            "HASHINSIGHT_LOCAL_MINERS": "True",
        }

    def erase(self) -> None:
        for path in (self.login, self.collector_key, self.log, *self._database_files()):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.collector_folder, ignore_errors=True)

    def _database_files(self) -> list[Path]:
        return [self.database.with_name(self.database.name + ending) for ending in ("", "-wal", "-shm")]

    def password(self) -> str:
        """The operator's password: made at the first start and the same ever after."""
        return kept(self.login, make=lambda: "".join(secrets.choice(_LETTERS) for _ in range(PASSWORD_LENGTH)))


def kept(path: Path, *, make: Callable[[], str]) -> str:
    """The text in `path`; at the first call made by `make` and written where only this user reads it."""
    try:
        if text := path.read_text().strip():
            return text
    except FileNotFoundError:
        pass
    text = make()
    keep(path, text)
    return text


def keep(path: Path, text: str) -> None:
    """Write `text` whole or not at all, readable by this user only."""
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
    fresh.replace(path)
