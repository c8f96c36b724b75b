"""A file of no use but its size: on a full disk it is removed, and what is needed to make room then has room itself.

SQLite cannot even delete on a full disk: the deletion is written to its log first, and the log is only shortened after its pages found
room in the file.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

BYTES: Final = 4_000_000


class Ballast:
    def __init__(self, path: Path, *, size: int = BYTES) -> None:
        self._path, self._size = path, size
        self.lay()

    def lay(self) -> None:
        """Take the room, unless it is taken or the disk has none; made of real bytes, so that no file system only promises it."""
        try:
            if self._path.stat().st_size == self._size:
                return
        except OSError:
            pass
        try:
            with self._path.open("wb") as file:
                file.write(b"\0" * self._size)
                os.fsync(file.fileno())
        except OSError:
            self.throw_off()

    def throw_off(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
