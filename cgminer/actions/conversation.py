"""What a dialect speaks through: requests to one miner, with a note of whether it may have acted."""

from __future__ import annotations

import time
from typing import Any, Final

from cgminer import faults, frames, wire
from cgminer.client import MinerClient
from cgminer.errors import ActionRefused, MinerAccessDenied, MinerError, MinerReplyError, MinerTimeout
from cgminer.reading import Answer

_PREPARATIONS: Final = frozenset({"logon", "logoff", "session", "get_token"})
"""Control commands that change nothing at the miner."""
_SILENCES: Final = (MinerTimeout, MinerAccessDenied, MinerReplyError)
"""What may follow a command that was carried out: no answer, a closed connection, an answer nobody can read."""


class Conversation:
    """One command for one miner. `answer` is what it said just before."""

    def __init__(self, client: MinerClient, *, answer: Answer, password: str | None, tell_before: float | None = None) -> None:
        self.client = client
        self.tell_before = tell_before
        self.answer = answer
        self.password = password
        self._done = False
        """A control command was answered with success."""

    def tell(self, command: str, parameter: str | None = None) -> dict[str, Any]:
        """The decoded reply. Raises a MinerError for a refusal."""
        self._refuse_late(command)
        reply = self.client.request(command, parameter)
        self._note(command)
        return reply

    def tell_bytes(self, command: str, request: bytes) -> bytes:
        """The bytes that answer `command`, which the dialect has put into `request` itself."""
        self._refuse_late(command)
        raw = self.client.exchange_control(request).raw
        self._note(command)
        return raw

    def accept(self, reply: dict[str, Any], *, command: str) -> None:
        """Raise what a refusal in `reply` means."""
        try:
            if command in frames.CONTROLS:
                frames.raise_for_code(reply, command=command)
            else:
                wire.raise_for_status(reply, command=command)
        except MinerError as error:
            self._done = False
            raise faults.located(error, self.client.address) from error

    def may_have_acted(self, error: MinerError) -> bool:
        """Whether the miner may have carried out something although it ended in `error`."""
        return self._done or (error.sent and isinstance(error, _SILENCES))

    def _refuse_late(self, command: str) -> None:
        is_control = command in wire.CONTROL_COMMANDS or command in frames.CONTROLS
        if self.tell_before is not None and is_control and time.monotonic() > self.tell_before:
            raise ActionRefused(f"{self.client.address}: it took too long to get here, {command!r} was not sent any more.")

    def _note(self, command: str) -> None:
        if command not in wire.READ_COMMANDS and command not in _PREPARATIONS:
            self._done = True
