"""The collector key while the program runs, and its replacement by one that the server hands out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edge_collector.config import Config, is_key
from edge_collector.logs import EventLog

log = EventLog(__name__)


class KeyRing:
    """The key in use. After a replacement the former one is kept until the server accepted the new one."""

    def __init__(self, config: Config) -> None:
        self._file: Path | None = None if config.key_from_environment else config.key_file
        self.current = config.read_key()
        self._former = ""

    @property
    def may_change(self) -> bool:
        """A key out of the environment cannot be replaced from here."""
        return self._file is not None

    def replace(self, key: str) -> bool:
        """Use `key` from now on, also after a restart; False when it is none or cannot be stored."""
        if self._file is None or not is_key(key):
            return False
        try:
            write_secret(self._file, key)
        except OSError as error:
            log.error("key_not_stored", file=self._file, reason=str(error))
            return False
        self._former, self.current = self.current, key
        log.info("key_replaced", prefix=key[:8])
        return True

    def confirm(self) -> None:
        """The server accepts the key in use."""
        self._former = ""

    def go_back(self) -> bool:
        """The server does not accept the new key: use the former one again, if there is one."""
        if not self._former or self._file is None:
            return False
        write_secret(self._file, self._former)
        self.current, self._former = self._former, ""
        log.warning("key_not_accepted", prefix=self.current[:8])
        return True


def write_secret(path: Path, secret: str) -> None:
    """Whole or not at all, and readable by its owner alone from the first byte on."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
