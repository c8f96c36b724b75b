"""One miner, one blocking conversation: for probes, control commands and whoever reads a handful of miners."""

from __future__ import annotations

import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from cgminer import faults, wire
from cgminer.address import DEFAULT_PORT, Address, resolve
from cgminer.errors import MinerError
from cgminer.protocols import MinerProtocol, protocol_at
from cgminer.reading import Answer, Dialogue, Reply

__all__ = ["DEFAULT_PORT", "Address", "Answer", "MinerClient", "RetryPolicy", "Timeouts"]

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed for each part of one request. `receive_s` is for the whole reply, however slowly it drips in."""

    connect_s: float = 2.0
    send_s: float = 1.0
    receive_s: float = 2.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is tried, and how long is waited in between."""

    attempts: int = 3
    backoff_s: float = 0.5
    jitter: float = 0.1

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 0): backoff × 2^attempt, plus up to `jitter` of it."""
        pause: float = self.backoff_s * 2**attempt
        return pause * (1 + random.uniform(0, self.jitter))


@dataclass(frozen=True, slots=True)
class MinerClient:
    """Talks to one miner: one TCP connection a request, as the protocol wants it.

    Every method raises a MinerError. Timeouts and refused connections are tried again; a command that changes something only as long as
    it was not sent, because a restart sent twice restarts twice.
    """

    address: Address
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    @property
    def protocol(self) -> MinerProtocol:
        return protocol_at(self.address.port)

    def request(self, command: str, parameter: str | None = None) -> dict[str, Any]:
        """The decoded reply to one command. A refusal is raised: MinerAccessDenied, UnsupportedCommand, MinerReplyError."""
        raw = self.exchange(command, parameter).raw
        try:
            document = self.protocol.decode(raw)
            self.protocol.check(document, command)
        except MinerError as error:
            raise faults.located(error, self.address) from error
        return document

    def read_snapshot(self, *, joined: bool | None = None) -> Answer:
        """Read the miner with as few requests as its firmware allows; `joined` is what an earlier Answer said, if known."""
        dialogue = self.protocol.read_miner(joined=joined)
        try:
            command = next(dialogue)
            while True:
                command = self._next_command(dialogue, command)
        except StopIteration as finished:
            answer: Answer = finished.value
            return answer
        except MinerError as error:
            raise faults.located(error, self.address) from error

    def exchange(self, command: str, parameter: str | None = None) -> Reply:
        """Send one command and return the bytes of the reply, with the retries of the policy."""
        return self._carry(self.protocol.encode(command, parameter), harmless=self.protocol.is_read(command))

    def exchange_control(self, request: bytes) -> Reply:
        """Send a control command in a maker's own form; like any other it is never sent a second time."""
        return self._carry(request, harmless=False)

    def _carry(self, request: bytes, *, harmless: bool) -> Reply:
        for attempt in range(self.retries.attempts):
            conversation = _Conversation(self.address, self.timeouts)
            try:
                return conversation.ask(request)
            except MinerError as error:
                error.sent = conversation.sent
                last_one = attempt + 1 >= self.retries.attempts
                if last_one or not error.worth_retrying or (conversation.sent and not harmless):
                    raise
            time.sleep(self.retries.delay(attempt))
        raise ValueError("a retry policy allows at least one attempt")

    def _next_command(self, dialogue: Dialogue, command: str) -> str:
        try:
            reply = self.exchange(command)
        except MinerError as error:
            return dialogue.throw(error)
        return dialogue.send(reply)


class _Conversation:
    """One request on one connection."""

    def __init__(self, address: Address, timeouts: Timeouts) -> None:
        self.address = address
        self.timeouts = timeouts
        self.sent = False

    def ask(self, request: bytes) -> Reply:
        started = time.monotonic()
        with self._connected() as connection:
            self._send(connection, request)
            raw = self._receive(connection)
        return Reply(raw, (time.monotonic() - started) * 1000)

    def _connected(self) -> socket.socket:
        family, where = resolve(self.address)
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(self.timeouts.connect_s)
            connection.connect(where)
        except OSError as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise faults.no_connection(self.address, self.timeouts.connect_s) from error
            raise faults.connection_failed(self.address, error) from error
        return connection

    def _send(self, connection: socket.socket, request: bytes) -> None:
        connection.settimeout(self.timeouts.send_s)
        self.sent = True
        try:
            connection.sendall(request)
        except TimeoutError as error:
            raise faults.no_reply(self.address, self.timeouts.send_s, received=0) from error
        except OSError as error:
            raise faults.connection_failed(self.address, error) from error

    def _receive(self, connection: socket.socket) -> bytes:
        """The whole reply. The deadline counts for all of it: a miner sending one byte a second does not hold the caller."""
        buffer = bytearray()
        deadline = time.monotonic() + self.timeouts.receive_s
        is_complete = protocol_at(self.address.port).is_complete
        while not is_complete(buffer):
            chunk = self._next_chunk(connection, buffer, deadline)
            if not chunk:
                break
            buffer += chunk
            if len(buffer) > wire.MAX_REPLY_BYTES:
                raise faults.reply_too_long(self.address, wire.MAX_REPLY_BYTES)
        if not buffer:
            raise faults.hung_up(self.address)
        return bytes(buffer)

    def _next_chunk(self, connection: socket.socket, buffer: bytearray, deadline: float) -> bytes:
        """b"" when the miner has closed; a reset after the first bytes ends the reply like a close."""
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            return connection.recv(_CHUNK)
        except TimeoutError as error:
            raise faults.no_reply(self.address, self.timeouts.receive_s, received=len(buffer)) from error
        except OSError:
            return b""
