"""Commands from the server: asked for, checked against what is known here, carried out once each, answered until the answer arrived."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from cgminer.actions.control import seen
from cgminer.snapshot import Snapshot
from edge_collector.answers import Meaning, read_answer
from edge_collector.batch import iso, iso_of
from edge_collector.config import Config, ConfigError, read_secret
from edge_collector.inventory import Inventory, Machine
from edge_collector.journal import Entry, Journal
from edge_collector.link import Link, LinkError, Reply
from edge_collector.logs import EventLog
from edge_collector.orders import Order, outline, read_order, why_not
from edge_collector.pace import Backoff
from edge_collector.telling import NotThere, Result, Stopped, Teller, failed, rejected

log = EventLog(__name__)

POLL = "/api/edge/v1/commands/poll"
LEASE_S: Final = 45.0
"""Later than this after a command was handed out its miner is not told any more: the server may think of it as unanswered."""
OLDER_SERVER_S: Final = 600.0
GIVEN_UP_AFTER_S: Final = 8 * 86_400
"""No server waits longer for a result."""
_SECRETS: Final = frozenset({"pool_password", "password"})


class CommandDesk:
    """`poll` and `answer` make one attempt each; `run_…` go on until `stop`."""

    def __init__(
        self, config: Config, inventory: Inventory, journal: Journal, *, poll_link: Link, answer_link: Link, stop: threading.Event
    ) -> None:
        self._config, self._inventory, self._journal = config, inventory, journal
        self._poll_link, self._answer_link = poll_link, answer_link
        self._stop = stop
        settings = config.commands
        self.teller = Teller(inventory=inventory, patience_s=config.loop.patience_s, effect_s=settings.effect_s, stop=stop)
        self._pool = ThreadPoolExecutor(settings.most_at_once, thread_name_prefix="command")
        self._busy: dict[str, str] = {}
        """Command by the miner that it is at."""
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()

    # --- Taking -----------------------------------------------------------------------------------------------------------------------

    def run_polls(self, stop: threading.Event) -> None:
        backoff = Backoff(self._config.commands.poll_s, 60.0)
        self.report_interrupted()
        while not stop.is_set():
            try:
                wait = self.poll()
                backoff.succeeded()
            except LinkError:
                wait = self._config.commands.poll_s + backoff.failed()
            stop.wait(wait)

    def poll(self) -> float:
        """Ask for commands and begin what may be begun; returns the seconds until the next question. Raises LinkError."""
        free = self._config.commands.most_at_once - len(self._busy)
        if free < 1:
            return self._config.commands.poll_s
        query = {"limit": str(min(50, free)), **({"zone_id": self._config.server.zone_id} if self._config.server.zone_id else {})}
        reply = self._poll_link.get(f"{POLL}?{urlencode(query)}")
        if reply.status == 204:
            return self._config.commands.poll_s
        answer = read_answer(reply)
        if answer.meaning is Meaning.MISSING:
            return OLDER_SERVER_S
        if answer.meaning is not Meaning.ACCEPTED:
            raise LinkError("answer", answer.words)
        offered = answer.document.get("commands")
        for item in offered if isinstance(offered, list) else []:
            self._receive(item, reply)
        return self._config.commands.poll_s

    def report_interrupted(self) -> None:
        """After a start: say of what a crash cut short whatever can be proved."""
        for entry in self._journal.interrupted():
            self._pool.submit(self._work, entry.miner_id, entry.command_id, partial(self._prove, entry))

    def _prove(self, entry: Entry) -> None:
        machine = self._inventory.get(entry.miner_id)
        if machine is None or machine.address is None:
            result = failed("the collector stopped while it told the miner, which is not in its inventory now", error_class="Interrupted")
        else:
            seconds = max(0.0, time.time() - entry.begun_at)
            result = self.teller.after_crash(machine, entry.command, entry.params, before=entry.before, seconds=seconds)
        self._finish(entry.command_id, {"before": dict(entry.before), **result}, began=entry.begun_at)

    def _receive(self, item: Any, reply: Reply) -> None:
        order = read_order(item, reply)
        if order is None:
            log.warning("command_unreadable", offered=outline(item))
            return
        known = self._journal.entry(order.command_id)
        if known is not None:
            if known.result is not None and known.is_answered:
                self._journal.ask_again(order.command_id)
            return
        problem = why_not(order, self._config.server, self._inventory)
        if problem is None:
            self._begin(order)
        elif problem:
            self._reject(order, problem)

    # --- Carrying out -----------------------------------------------------------------------------------------------------------------

    def _begin(self, order: Order) -> None:
        """A miner that is busy with another command is left alone: the server offers this one again."""
        with self._lock:
            if order.miner_id in self._busy or len(self._busy) >= self._config.commands.most_at_once:
                return
            self._busy[order.miner_id] = order.command_id
        tell_before = time.monotonic() + min(order.left_s, LEASE_S)
        self._pool.submit(self._work, order.miner_id, order.command_id, partial(self._carry_out, order, tell_before))

    def _work(self, miner_id: str, command_id: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            log.info("command_interrupted", command_id=command_id)
        except Exception:  # noqa: BLE001 - a fault of ours must not leave the command without an answer; it is logged with its trace
            log.fault("command_fault", command_id=command_id)
            if self._journal.entry(command_id):
                self._finish(command_id, failed("a fault in the collector; see its log", error_class="Fault"), began=time.time())
        finally:
            with self._lock:
                self._busy.pop(miner_id, None)

    def _carry_out(self, order: Order, tell_before: float) -> None:
        machine = self._inventory.get(order.miner_id)
        if machine is None:
            return
        began = time.time()
        open_params = {name: value for name, value in order.params.items() if name not in _SECRETS}
        begin = partial(self._journal.begin, order.command_id, miner_id=order.miner_id, command=order.command, params=open_params)
        try:
            said = self.teller.before(machine)
        except NotThere as problem:
            if begin(before={}):
                self._finish(order.command_id, failed(str(problem), error_class=problem.error_class), began=began)
            return
        before = _before(said)
        if not begin(before=before):
            return
        log.info("command_begun", command_id=order.command_id, command=order.command, miner_id=order.miner_id)
        password = self.password_of(machine)
        result = self.teller.tell(machine, order.command, order.params, before=before, password=password, tell_before=tell_before)
        self._finish(order.command_id, {"before": before, **result}, began=began)

    def password_of(self, machine: Machine) -> str:
        if machine.password or not self._config.miners.password_file:
            return machine.password
        try:
            return read_secret(self._config.path(self._config.miners.password_file))
        except ConfigError as error:
            log.error("password_file_unreadable", reason=str(error))
            return ""

    def _reject(self, order: Order, words: str) -> None:
        if self._journal.begin(order.command_id, miner_id=order.miner_id, command=order.command, params={}, before={}):
            self._finish(order.command_id, rejected(words), began=time.time())

    def _finish(self, command_id: str, result: Result, *, began: float) -> None:
        duration = round((time.time() - began) * 1000)
        self._journal.finish(command_id, {**result, "executed_at": iso_of(began), "duration_ms": max(0, duration)})
        self.outcomes[result["status"]] += 1
        log.info("command_done", command_id=command_id, status=result["status"], message=result["result_message"])

    # --- Answering --------------------------------------------------------------------------------------------------------------------

    def run_answers(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.answer_due()
            stop.wait(min(1.0, self._config.commands.poll_s))

    def answer_due(self) -> int:
        """Tell the server each result it does not have and whose turn it is; returns how many it took."""
        return sum(self._answer(entry) for entry in self._journal.unanswered(time.time()))

    def _answer(self, entry: Entry) -> bool:
        server = self._config.server
        body = {
            "miner_id": entry.miner_id,
            "command": entry.command,
            "site_id": server.site_id,
            "zone_id": server.zone_id,
            "device_id": server.device_id,
            **(entry.result or {}),
        }
        path = f"/api/edge/v1/commands/{quote(entry.command_id, safe='')}/ack"
        try:
            answer = read_answer(self._answer_link.post(path, json.dumps(body).encode(), headers={"Content-Type": "application/json"}))
        except LinkError as error:
            self._put_off(entry, str(error))
            return False
        if answer.meaning is Meaning.ACCEPTED:
            self._journal.answered(entry.command_id)
            return True
        if answer.meaning is Meaning.REFUSED or time.time() - entry.begun_at > GIVEN_UP_AFTER_S:
            log.error("result_given_up", command_id=entry.command_id, answer=answer.words)
            self._journal.answered(entry.command_id)
        else:
            self._put_off(entry, answer.words)
        return False

    def _put_off(self, entry: Entry, reason: str) -> None:
        backoff = Backoff(self._config.uplink.backoff_s, 300.0)
        backoff.failures = entry.tries
        wait = backoff.failed()
        log.warning("result_not_taken", command_id=entry.command_id, reason=reason, again_in_s=round(wait, 1))
        self._journal.put_off(entry.command_id, until=time.time() + wait)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._poll_link.close()
        self._answer_link.close()


def _before(said: Snapshot) -> dict[str, Any]:
    return {"at": iso(datetime.now(UTC)), **seen(said)}
