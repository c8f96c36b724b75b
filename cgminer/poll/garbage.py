"""How often Python looks for garbage while a round runs."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_DURING_A_ROUND: Final = (200_000, 20, 20)
_rounds: list[tuple[int, int, int]] = []
"""The thresholds from before each round that is under way."""
_changing = threading.Lock()


@contextmanager
def rare_collections() -> Iterator[None]:
    """A round makes objects by the hundred thousand and hardly a cycle, so looking for cycles every 700 of them is time lost.

    The setting is the process's own: of several rounds at once the last one to end puts back what the first one found.
    """
    with _changing:
        _rounds.append(_rounds[0] if _rounds else gc.get_threshold())
        gc.set_threshold(*_DURING_A_ROUND)
    try:
        yield
    finally:
        with _changing:
            before = _rounds.pop()
            if not _rounds:
                gc.set_threshold(*before)
