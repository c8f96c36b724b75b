"""One command at one miner: told once, and then watched until its effect shows or its time is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cgminer.actions import Done, carry_out
from cgminer.actions.control import seen
from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import ActionRefused, MinerError
from cgminer.snapshot import Snapshot
from edge_collector.effects import shows
from edge_collector.inventory import Inventory, Machine, Marks
from edge_collector.rounds import without_address

_LOOKS: Final = 30
"""How often the miner is looked at while an effect is waited for; with a long wait, each two seconds."""

Result = dict[str, Any]


class Stopped(Exception):
    """The program ends before it is known what came of the command; its next start looks again."""


class NotThere(Exception):
    """Nothing was sent: the miner cannot be read, or another machine has its address. The message is for people, without the address."""

    def __init__(self, message: str, error_class: str) -> None:
        super().__init__(message)
        self.error_class = error_class


@dataclass(frozen=True, slots=True)
class _Told:
    """A command and the moment, on the monotonic clock, from which on its effect may show."""

    machine: Machine
    command: str
    params: Mapping[str, Any]
    before: Mapping[str, Any]
    at: float

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.at, 1)

    def shows_in(self, said: Snapshot) -> bool | None:
        return shows(self.command, self.params, said, before=self.before, seconds=time.monotonic() - self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Speaks to the miners of `inventory`. `effect_s` is how long an effect is waited for."""

    inventory: Inventory
    patience_s: float
    effect_s: float
    stop: threading.Event

    def before(self, machine: Machine) -> Snapshot:
        """What the miner says before it is told anything. Raises NotThere."""
        try:
            said = self._client(machine).read_snapshot().snapshot
        except MinerError as error:
            raise NotThere(f"{without_address(str(error), machine)} Nothing was changed.", type(error).__name__) from error
        if not self.inventory.is_at_home(machine, Marks.of(said)):
            raise NotThere("another machine answers where this miner was; nothing was sent", "Moved")
        return said

    def tell(
        self,
        machine: Machine,
        command: str,
        params: Mapping[str, Any],
        *,
        before: Mapping[str, Any],
        password: str,
        tell_before: float,
    ) -> Result:
        """Carry `command` out once; returns the result as the server wants it. Raises Stopped."""
        told = _Told(machine, command, params, before, time.monotonic())
        try:
            done = carry_out(self._client(machine), command, params, password=password or None, tell_before=tell_before)
        except MinerError as error:
            return self._after_silence(told, error) if error.sent else _unsent(error, machine)
        return self._after_success(told, done)

    def after_crash(
        self, machine: Machine, command: str, params: Mapping[str, Any], *, before: Mapping[str, Any], seconds: float
    ) -> Result:
        """What can be proved of a command whose telling was cut short `seconds` ago."""
        told = time.monotonic() - seconds
        told_of = _Told(machine, command, params, before, told)
        proved, said = self._watch(told_of, within_s=min(self.effect_s, 10.0))
        after = seen(said) if said else {}
        if proved:
            return _result("completed", 0, "the collector stopped meanwhile; the miner shows that it was carried out", after=after)
        words = "the collector stopped while it told the miner: whether it was carried out cannot be proved; it was not repeated"
        return _result("error", 1, words, after=after, error_class="Interrupted")

    def _after_success(self, told: _Told, done: Done) -> Result:
        proved, said = self._watch(told, within_s=self.effect_s)
        extra = {"firmware": str(done.dialect), "effect": _effect(proved), "seconds": told.seconds}
        ends = {"before": dict(done.before), "after": seen(said) if said else dict(done.after), "result": extra}
        message = without_address(done.message, told.machine)
        if proved:
            return _result("completed", 0, message, **ends)
        if said is None:
            words = f"the miner accepted it ({message}) and has not answered again within {self.effect_s:g} s"
            return _result("timeout", 1, words, error_class="NotBack", **ends)
        if proved is None:
            return _result("completed", 0, f"{message} (accepted; nothing that this miner reports shows the effect)", **ends)
        words = f"the miner accepted it ({message}), but after {self.effect_s:g} s it does not show"
        return _result("failed", 1, words, error_class="NoEffect", **ends)

    def _after_silence(self, told: _Told, error: MinerError) -> Result:
        """It was sent and not answered properly: only the effect can tell."""
        proved, said = self._watch(told, within_s=self.effect_s)
        words = without_address(str(error), told.machine)
        ends = {"after": seen(said) if said else {}, "result": {"effect": _effect(proved), "seconds": told.seconds}}
        if proved:
            return _result("completed", 0, f"{words} The miner shows that it was carried out all the same.", **ends)
        words = f"{words} It may have been carried out; the miner does not show it."
        return _result("timeout", 1, words, error_class=type(error).__name__, **ends)

    def _watch(self, told: _Told, *, within_s: float) -> tuple[bool | None, Snapshot | None]:
        """Look until it shows; the last look counts otherwise. The second value is None when the miner did not answer then."""
        ends = time.monotonic() + within_s
        pause = max(0.05, min(2.0, self.effect_s / _LOOKS))
        while True:
            said = self._look(told.machine)
            proved = None if said is None else told.shows_in(said)
            unobservable = proved is None and said is not None and told.command not in ("restart", "reboot")
            if proved or unobservable or time.monotonic() + pause > ends:
                return proved, said
            if self.stop.wait(pause):
                raise Stopped

    def _look(self, machine: Machine) -> Snapshot | None:
        try:
            return self._client(machine, attempts=1).read_snapshot().snapshot
        except MinerError:
            return None

    def _client(self, machine: Machine, *, attempts: int = 2) -> MinerClient:
        if machine.address is None:
            raise ActionRefused("it is not known where this miner is.")
        return MinerClient(machine.address, timeouts=Timeouts(receive_s=self.patience_s), retries=RetryPolicy(attempts=attempts))


def rejected(words: str) -> Result:
    return _result("rejected", 3, words, error_class="Rejected")


def failed(words: str, *, error_class: str) -> Result:
    return _result("failed", 1, words, error_class=error_class)


def _unsent(error: MinerError, machine: Machine) -> Result:
    words = without_address(str(error), machine)
    if isinstance(error, ActionRefused):
        return rejected(words)
    return failed(f"{words} Nothing was changed.", error_class=type(error).__name__)


def _result(status: str, code: int, message: str, **more: Any) -> Result:
    return {
        "status": status,
        "result_code": code,
        "result_message": message[:500],
        **{name: value for name, value in more.items() if value},
    }


def _effect(proved: bool | None) -> str:
    return {True: "seen", False: "not seen", None: "cannot be seen"}[proved]
