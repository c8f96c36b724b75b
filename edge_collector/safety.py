"""Acts on overheated miners from here, also while the server is away; off unless the configuration says otherwise.

Hysteresis in both directions: only several hot readings in a row count, and a miner that was acted on is left alone until it has cooled
down. Each act is an event on disk before the miner is told.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from cgminer.snapshot import Snapshot
from edge_collector.inventory import Inventory, Machine
from edge_collector.journal import Journal
from edge_collector.logs import EventLog
from edge_collector.outbox import Outbox
from edge_collector.settings import Safety
from edge_collector.store import transaction
from edge_collector.telling import NotThere, Result, Stopped, Teller

log = EventLog(__name__)

KIND: Final = "safety_action"
TELL_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Act:
    miner_id: str
    action: str
    temperature: float
    words: str


class Guard:
    """`look` is shown every reading, in the polling thread; `end_of_round` begins what is due. Acts run in threads of their own."""

    def __init__(
        self,
        settings: Safety,
        inventory: Inventory,
        outbox: Outbox,
        journal: Journal,
        *,
        teller: Teller,
        password_of: Callable[[Machine], str],
    ) -> None:
        self._settings, self._inventory, self._outbox, self._journal = settings, inventory, outbox, journal
        self._teller, self._password_of = teller, password_of
        self._hot: Counter[str] = Counter()
        self._cool: Counter[str] = Counter()
        self._due: list[Act] = []
        self._lock = threading.Lock()
        with journal.lock:
            self._acted: dict[str, str] = dict(journal.db.execute("SELECT miner_id, action FROM acted").fetchall())
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="safety")

    def look(self, miner_id: str, said: Snapshot) -> None:
        """A reading without a temperature says nothing: no count goes on or back."""
        if not self._settings.enabled or said.temperature_max is None:
            return
        hottest = said.temperature_max
        self._hot[miner_id] = self._hot[miner_id] + 1 if hottest >= self._settings.act_at_c else 0
        self._cool[miner_id] = self._cool[miner_id] + 1 if hottest <= self._settings.clear_at_c else 0
        if miner_id not in self._acted and self._hot[miner_id] >= self._settings.readings:
            words = f"{hottest:g} °C, from {self._settings.act_at_c:g} °C on it is too hot"
            self._due.append(Act(miner_id, self._settings.action, hottest, words))
        elif miner_id in self._acted and self._cool[miner_id] >= self._settings.readings:
            again = self._settings.enable_again and self._acted[miner_id] == "disable"
            words = f"{hottest:g} °C, it has cooled down to {self._settings.clear_at_c:g} °C"
            self._due.append(Act(miner_id, "enable" if again else "clear", hottest, words))

    def end_of_round(self) -> None:
        """Begin the hottest first, and no more than `most_per_round`: a broken sensor must not switch a farm off at once."""
        due, self._due = sorted(self._due, key=lambda act: -act.temperature), []
        for act in due[: self._settings.most_per_round]:
            self._remember(act)
            self._tell_of(
                act, f"{act.words}: {_intention(act.action)}", stage="begun" if act.action in ("disable", "restart", "enable") else "done"
            )
            if act.action in ("disable", "restart", "enable"):
                self._pool.submit(self._carry_out, act)
        if len(due) > self._settings.most_per_round:
            log.warning("safety_held_back", too_hot=len(due), most_per_round=self._settings.most_per_round)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _remember(self, act: Act) -> None:
        """On disk, so that a restart neither acts twice nor forgets whom to enable again."""
        with self._lock, self._journal.lock, transaction(self._journal.db):
            if act.action in ("clear", "enable"):
                self._acted.pop(act.miner_id, None)
                self._journal.db.execute("DELETE FROM acted WHERE miner_id = ?", (act.miner_id,))
            else:
                self._acted[act.miner_id] = act.action
                self._journal.db.execute("INSERT OR REPLACE INTO acted VALUES (?, ?, ?)", (act.miner_id, act.action, time.time()))

    def _forget(self, miner_id: str) -> None:
        """It did not work: the next hot readings try again."""
        with self._lock, self._journal.lock, transaction(self._journal.db):
            self._acted.pop(miner_id, None)
            self._hot[miner_id] = 0
            self._journal.db.execute("DELETE FROM acted WHERE miner_id = ?", (miner_id,))

    def _carry_out(self, act: Act) -> None:
        machine = self._inventory.get(act.miner_id)
        if machine is None or machine.address is None:
            return
        try:
            self._teller.before(machine)
            password, until = self._password_of(machine), time.monotonic() + TELL_WITHIN_S
            result = self._teller.tell(machine, act.action, {}, before={}, password=password, tell_before=until)
        except NotThere as problem:
            result = {"status": "failed", "result_message": str(problem)}
        except Stopped:
            result = {"status": "unknown", "result_message": "the collector stopped before the miner showed it"}
        if result["status"] in ("failed", "timeout"):
            self._forget(act.miner_id)
        self._tell_of(act, f"{act.action} {result['status']}: {result['result_message']}", stage="done", result=result)

    def _tell_of(self, act: Act, message: str, *, stage: str, result: Result | None = None) -> None:
        details: dict[str, Any] = {"action": act.action, "stage": stage, "temperature_max": act.temperature, **self._limits()}
        if result is not None:
            details["outcome"] = result["status"]
        log.warning(KIND, miner_id=act.miner_id, action=act.action, stage=stage, message=message)
        self._outbox.put(KIND, message[:500], miner_id=act.miner_id, details=details)

    def _limits(self) -> Mapping[str, float]:
        return {"act_at_c": self._settings.act_at_c, "clear_at_c": self._settings.clear_at_c}


def _intention(action: str) -> str:
    return {"report": "nothing is done, as the configuration says", "clear": "nothing more is done"}.get(action, f"{action} is sent")
