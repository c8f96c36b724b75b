"""The sockets of a simulated fleet: one thread, one selector, any number of miners."""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import json
import random
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable
from functools import partial

from cgminer.simulator import api3
from cgminer.simulator.control import ControlEvent, Effect, execute, opened
from cgminer.simulator.miner import Request, SimulatedMiner, read_request
from cgminer.simulator.spec import State
from cgminer.sockets import Wakeup

_BACKLOG = 4096
_QUEUES = 8
"""Listeners that share a fleet's one port: the system keeps at most a few thousand waiting connections for each."""
_ACCEPTS_PER_TURN = 64
_LONGEST_REQUEST = 4095
"""cgminer reads once, and no more than this."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class FleetError(Exception):
    """The fleet cannot listen where it was told to; the message says why and what to do."""


class FleetServer:
    """Answers for every miner. All methods but `call_soon` and `stop` belong to the thread that calls `serve`."""

    def __init__(
        self,
        miners: Iterable[SimulatedMiner],
        *,
        latency: tuple[float, float],
        restart_s: float,
        on_control: Callable[[ControlEvent], None],
        one_listener: bool,
    ) -> None:
        self._latency = latency
        self._restart_s = restart_s
        self._on_control = on_control
        self._one_listener = one_listener
        self._miners = {(miner.spec.host, miner.spec.port): miner for miner in miners}
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._owed_an_answer: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._wakeup = Wakeup()
        self._selector.register(self._wakeup.bell, selectors.EVENT_READ, None)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._stopped = False
        self._calls: list[Callable[[], None]] = []

    def bind(self) -> None:
        """Listen everywhere. Raises FleetError, having closed what was opened."""
        try:
            if self._one_listener:
                self._listen_everywhere()
            else:
                for miner in self._miners.values():
                    self.listen(miner)
        except FleetError:
            self.close()
            raise

    def serve(self) -> None:
        try:
            while not self._stopped:
                pause = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
                for key, _ in self._selector.select(pause):
                    if key.data:
                        key.data()
                    else:
                        self._run_calls()
                self._run_timers()
        finally:
            self.close()

    def call_soon(self, action: Callable[[], None]) -> None:
        """Run `action` in the serving thread."""
        self._calls.append(action)
        self._wakeup.ring()

    def stop(self) -> None:
        self._stopped = True
        self._wakeup.ring()

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            with contextlib.suppress(AttributeError):
                key.fileobj.close()  # type: ignore[union-attr] # only sockets are registered here
        for connection in self._owed_an_answer:
            connection.close()
        self._selector.close()
        self._wakeup.close()

    def listen(self, miner: SimulatedMiner) -> None:
        """Open the miner's port, unless it is switched off."""
        where = (miner.spec.host, miner.spec.port)
        if self._one_listener or miner.state is State.REFUSED or where in self._listeners:
            return
        self._listeners[where] = listener = _listening(where)
        self._selector.register(listener, selectors.EVENT_READ, partial(self._accept_for, miner, listener))

    def silence(self, miner: SimulatedMiner) -> None:
        """Close the miner's port, so that connections are refused."""
        listener = self._listeners.pop((miner.spec.host, miner.spec.port), None)
        if listener:
            self._selector.unregister(listener)
            listener.close()

    def _listen_everywhere(self) -> None:
        for port in {port for _, port in self._miners}:
            where = ("0.0.0.0", port)
            _listening(where).close()  # sockets that share a port do not notice that somebody else has it
            for _ in range(_QUEUES):
                listener = _listening(where, shared=True)
                self._selector.register(listener, selectors.EVENT_READ, partial(self._accept_for_anyone, listener))

    def _accept_for(self, miner: SimulatedMiner, listener: socket.socket) -> None:
        accepted = _accept(listener)
        if accepted:
            self._welcome(accepted[0], miner)

    def _accept_for_anyone(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            accepted = _accept(listener)
            if not accepted:
                return
            connection, (peer, _) = accepted
            miner = self._miners.get(connection.getsockname())
            # Listening on every interface is only a way to listen on all of 127/8 at once: nobody else is answered.
            if miner is None or not peer.startswith("127."):
                _reset(connection)
            else:
                self._welcome(connection, miner)

    def _welcome(self, connection: socket.socket, miner: SimulatedMiner) -> None:
        if miner.state is State.DENIED:
            connection.close()
        elif miner.state is State.REFUSED or miner.away_until > time.time():
            _reset(connection)
        else:
            connection.setblocking(False)
            if miner.shape.is_framed:
                self._selector.register(connection, selectors.EVENT_READ, partial(self._hear_frames, connection, miner, bytearray()))
            elif not self._hear(connection, miner, registered=False):
                self._selector.register(connection, selectors.EVENT_READ, partial(self._hear, connection, miner))

    def _hear(self, connection: socket.socket, miner: SimulatedMiner, *, registered: bool = True) -> bool:
        """Read the request; False when it is not there yet."""
        try:
            raw = connection.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return False
        except OSError:
            raw = b""
        silent = raw and miner.state is State.DEAD
        if registered and not silent:
            self._selector.unregister(connection)
        if not raw:
            connection.close()
            return True
        if silent:
            return registered
        self._owed_an_answer.add(connection)
        self._later(self._delay(miner), partial(self._answer, connection, miner, read_request(raw)))
        return True

    def _answer(self, connection: socket.socket, miner: SimulatedMiner, request: Request) -> None:
        text = self._reply(miner, request, time.time())
        reply = text.encode() + miner.shape.terminator
        # A connection's buffer takes any reply at once; a client that is gone has nothing to be told.
        with contextlib.suppress(OSError):
            connection.send(reply)
        self._owed_an_answer.discard(connection)
        connection.close()

    def _hear_frames(self, connection: socket.socket, miner: SimulatedMiner, buffer: bytearray) -> None:
        """Read what there is; a connection stays open until its client is gone or talks nonsense."""
        try:
            chunk = connection.recv(_LONGEST_REQUEST)
            buffer += chunk
            requests = api3.requests_in(buffer) if chunk else None
        except BlockingIOError:
            return
        except (OSError, ValueError):
            requests = None
        if requests is None:
            self._selector.unregister(connection)
            connection.close()
            return
        for raw in requests if miner.state is not State.DEAD else ():
            self._later(self._delay(miner), partial(self._answer_frame, connection, miner, raw))

    def _answer_frame(self, connection: socket.socket, miner: SimulatedMiner, raw: bytes) -> None:
        now = time.time()
        reply, said = api3.reply_to(miner, raw, now)
        if said.told:
            answer = f"{'E' if said.code else 'S'} {said.code}"
            event = ControlEvent(at=now, miner_id=miner.spec.miner_id, command=said.told, parameter=said.parameter, answer=answer)
            self._on_control(event)
        if said.restarts:
            self._send_away(miner, now)
        with contextlib.suppress(OSError):
            connection.send(reply)

    def _delay(self, miner: SimulatedMiner) -> float:
        return random.uniform(*self._latency) + (miner.spec.answers_after_s if miner.state is State.SLOW else 0.0)

    def _reply(self, miner: SimulatedMiner, request: Request, now: float) -> str:
        command, parameter, problem, sealed = request
        shape = miner.shape
        if sealed and shape.sealed:
            return self._sealed(miner, sealed, now)
        if problem:
            return miner.status("E", problem, "Invalid JSON" if problem == 23 else "Missing JSON 'command'", now)
        if command in shape.controls or command in shape.refused:
            return self._control(miner, command, parameter, now)
        return miner.read(command, now) or miner.unknown(now)

    def _sealed(self, miner: SimulatedMiner, sealed: str, now: float) -> str:
        """Answer an encrypted request; like btminer, in plain words when it cannot be read."""
        request = opened(miner, sealed)
        if request is None or miner.token is None or request[0] not in miner.shape.sealed:
            return miner.status("E", 23, "enc json load err", now)
        answer = self._control(miner, *request, now, sealed=True)
        return json.dumps({"enc": miner.token.sealed_text(answer)})

    def _control(self, miner: SimulatedMiner, command: str, parameter: str, now: float, *, sealed: bool = False) -> str:
        if (command in miner.shape.refused and not sealed) or not miner.spec.privileged:
            effect = Effect("E", 45, f"Access denied to '{command}' command")
        else:
            effect = execute(miner, command, parameter, now)
        answer = effect.word or f"{effect.severity} {effect.code}"
        self._on_control(ControlEvent(at=now, miner_id=miner.spec.miner_id, command=command, parameter=parameter, answer=answer))
        if effect.restarts:
            self._send_away(miner, now)
        return _worded(miner, effect, now)

    def _send_away(self, miner: SimulatedMiner, now: float) -> None:
        miner.restart(now, self._restart_s)
        self.silence(miner)
        self._later(self._restart_s, partial(self._listen_again, miner))

    def _listen_again(self, miner: SimulatedMiner) -> None:
        try:
            self.listen(miner)
        except FleetError:
            self._later(self._restart_s, partial(self._listen_again, miner))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._serial), action))

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _run_calls(self) -> None:
        self._wakeup.clear()
        while self._calls:
            self._calls.pop(0)()


def _worded(miner: SimulatedMiner, effect: Effect, now: float) -> str:
    if effect.word:
        return f'{{"STATUS":"{effect.word}","id":1}}'
    if effect.section is not None:
        return json.dumps({"STATUS": effect.severity, "When": int(now), "Code": effect.code, "Msg": dict(effect.section)})
    text = miner.status(effect.severity, effect.code, effect.message, now)
    return text.replace(',"id":1}', f',{effect.extra},"id":1}}') if effect.extra else text


def _listening(where: tuple[str, int], *, shared: bool = False) -> socket.socket:
    listener = socket.socket()
    try:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise FleetError(_why_not(where, error)) from error
    return listener


def _why_not(where: tuple[str, int], error: OSError) -> str:
    host, port = where
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use already; stop what listens there or choose another --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; use loopback addresses (127.x.y.z)"
    return f"cannot listen on {host}:{port}: {error.strerror}"


def _accept(listener: socket.socket) -> tuple[socket.socket, tuple[str, int]] | None:
    try:
        return listener.accept()
    except OSError:
        # Nothing waits any more, the client left, or no file is free: the selector reports again.
        return None


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.close()
