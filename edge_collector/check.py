"""`edge-collector check`: what is well and what is wrong, each in one sentence with what to do."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cgminer.client import MinerClient, RetryPolicy, Timeouts
from cgminer.errors import MinerError
from edge_collector.config import Config, ConfigError
from edge_collector.discovery import addresses_in, scan
from edge_collector.inventory import Machine, given_machines
from edge_collector.link import Link, LinkError, Reply
from edge_collector.wording import size, span

STATUS: Final = "/api/collector/status"
MOST_MINERS: Final = 3
_CLOCK_FINE_S, _CLOCK_BAD_S = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `remedy` is empty when nothing is wrong; `is_fatal` when nothing would arrive."""

    about: str
    says: str
    remedy: str = ""
    is_fatal: bool = False

    def __str__(self) -> str:
        mark = "problem" if self.is_fatal else "warning" if self.remedy else "ok"
        return f"{mark:<8} {self.about}: {self.says}" + (f" {self.remedy}" if self.remedy else "")


def check(config: Config) -> Iterator[Finding]:
    """Look at everything a collector needs, in the order in which it needs it; later looks need no earlier success."""
    key, finding = _key(config)
    yield finding
    yield from _server(config, key)
    yield _disk(config)
    yield from _miners(config)


def _key(config: Config) -> tuple[str, Finding]:
    try:
        key = config.read_key()
    except ConfigError as error:
        return "", Finding("key", str(error), "Nothing can be sent without it.", is_fatal=True)
    return key, Finding("key", f"{key[:8]}… is there and only its owner can read it.")


def _server(config: Config, key: str) -> Iterator[Finding]:
    link = Link(config, lambda: key)
    try:
        began = time.monotonic()
        reply = link.get(STATUS)
        seconds = time.monotonic() - began
    except LinkError as error:
        yield Finding("server", f"{error}.", _remedies().get(error.kind, ""), is_fatal=True)
        return
    finally:
        link.close()
    yield _answer(config, reply, seconds)
    yield _clock(reply)


def _answer(config: Config, reply: Reply, seconds: float) -> Finding:
    document = _object(reply.body)
    url, site = config.server.url, config.server.site_id
    if reply.status == 200 and "collector" in document:
        return Finding(
            "server", f"{url} answers in {seconds * 1000:.0f} ms and knows this key as “{document['collector']}” of site {site}."
        )
    if reply.status == 401:
        words = "the server does not accept this key."
        return Finding(
            "server", words, "It is mistyped, expired or revoked, or the site is closed: make a new one in HashInsight.", is_fatal=True
        )
    if reply.status == 403:
        return Finding(
            "server", f"the key is not of site {site}.", "Set [server] site_id to the code of the site it was made for.", is_fatal=True
        )
    if 300 <= reply.status < 400:
        where = reply.headers.get("location", "another address")[:100]
        return Finding(
            "server",
            f"something sends us on to {where}.",
            "Is a login page in the way, or is https missing in [server] url?",
            is_fatal=True,
        )
    if document.get("error"):
        return Finding("server", f"it answers {reply.status}: {document['error']}", "Try again later; see the server's log.", is_fatal=True)
    words = f"what answers at {url} ({reply.status}) is not HashInsight."
    return Finding("server", words, "Is the address right, or is a proxy or a login page in the way?", is_fatal=True)


def _clock(reply: Reply) -> Finding:
    try:
        moment = parsedate_to_datetime(reply.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return Finding(
            "clock", "the answer carries no time to compare with.", "A proxy may have removed it; nothing to do if the clock is right."
        )
    # Date counts whole seconds: half of one is added on average.
    offset = (moment - datetime.now(UTC)).total_seconds() + 0.5
    way = "behind" if offset > 0 else "ahead of"
    if abs(offset) < _CLOCK_FINE_S:
        return Finding("clock", f"within {max(1.0, abs(offset)):.0f} s of the server's.")
    remedy = "Readings would stand at the wrong time: set up time synchronisation (timedatectl set-ntp true)."
    return Finding("clock", f"{span(abs(offset))} {way} the server's.", remedy, is_fatal=abs(offset) > _CLOCK_BAD_S)


def _disk(config: Config) -> Finding:
    folder, wanted = config.data, config.spool.max_mb * 1e6
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = "Make the folder writable for this user, or set [spool] directory."
        return Finding("disk", f"{folder} cannot be written to ({error.strerror}).", remedy, is_fatal=True)
    if free < wanted:
        remedy = "Free some space or lower max_mb; when the disk is full, the oldest readings are dropped and reported."
        return Finding("disk", f"{folder} has {size(free)} free, less than [spool] max_mb of {size(wanted)}.", remedy)
    return Finding("disk", f"{folder} can be written to and has {size(free)} free.")


def _miners(config: Config) -> Iterator[Finding]:
    try:
        machines = given_machines(config)
        addresses = addresses_in(config.miners.ranges, port=config.miners.port)
    except ConfigError as error:
        yield from (Finding("miners", problem, is_fatal=True, remedy="Correct it and check again.") for problem in error.problems)
        return
    placed = [machine for machine in machines if machine.address]
    if placed:
        yield Finding("miners", f"{len(machines):,} are listed, {len(placed):,} of them with an address.")
        yield from map(_asker(config), _spread(placed))
    if addresses:
        found, denied = scan(addresses, most_in_flight=config.loop.most_in_flight)
        yield _found(len(found), denied, len(addresses))
        yield from map(_asker(config), _spread([Machine(miner_id=str(each.address), address=each.address) for each in found]))


def _spread(machines: Sequence[Machine]) -> list[Machine]:
    """The first, the last and one in the middle."""
    picked = {0, len(machines) // 2, len(machines) - 1} if machines else set()
    return [machines[index] for index in sorted(picked)][:MOST_MINERS]


def _found(found: int, denied: int, addresses: int) -> Finding:
    says = f"{found:,} answer in the ranges ({addresses:,} addresses)."
    if denied:
        return Finding(
            "ranges", f"{says} {denied:,} more hang up on us.", "Allow this machine's address in their API settings (api-allow)."
        )
    if not found:
        return Finding(
            "ranges", says, "Are the ranges right, is this machine in the miners' network, is their API switched on?", is_fatal=True
        )
    return Finding("ranges", says)


def _asker(config: Config) -> Callable[[Machine], Finding]:
    def ask(machine: Machine) -> Finding:
        assert machine.address is not None
        client = MinerClient(machine.address, timeouts=Timeouts(receive_s=config.loop.patience_s), retries=RetryPolicy(attempts=2))
        try:
            said = client.read_snapshot().snapshot
        except MinerError as error:
            return Finding(machine.miner_id, f"{error}.", "The other miners are read all the same.")
        rate = "" if said.hashrate_ghs is None else f", {said.hashrate_ghs / 1000:.1f} TH/s"
        heat = "" if said.temperature_max is None else f", {said.temperature_max:g} °C"
        return Finding(machine.miner_id, f"{said.model or 'a miner'}{rate}{heat}, answered in {said.latency_ms or 0:.0f} ms.")

    return ask


def _remedies() -> dict[str, str]:
    return {
        "name": "Is there an internet connection at all?",
        "timeout": "Is a firewall in the way? Is [server] proxy needed?",
        "certificate": "A server with its own authority needs [server] ca_file.",
        "refused": "Open the address in a browser of this network.",
    }


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
