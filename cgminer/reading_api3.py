"""Which requests one reading over Whatsminer's API 3 takes, whoever carries them; see `cgminer.reading`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from cgminer import frames
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerError, MinerReplyError, MinerTimeout, UnsupportedCommand
from cgminer.parsers import parse_snapshot
from cgminer.parsers.identify import Firmware
from cgminer.parsers.sections import message
from cgminer.reading import Answer, Dialogue, Reply

INFO, STATUS, SETTING = "get.device.info", "get.miner.status", "get.miner.setting"
PARTS: Final = ("summary", "pools", "edevs")
ALL_PARTS: Final = f"{STATUS} {'+'.join(PARTS)}"


def read_miner(*, joined: bool | None = None, raw: dict[str, bytes] | None = None) -> Dialogue:
    """Two requests, or four where the parts of the status must be asked for one by one (`joined` False).

    Replies as received are put into `raw`. Raises MinerReplyError when nothing readable came, and passes on what the carrier threw when the
    miner did not answer.
    """
    heard = _Heard({} if raw is None else raw)
    yield from _ask(INFO, heard)
    if joined is not False:
        joined = yield from _ask(ALL_PARTS, heard)
    if not joined:
        for part in PARTS:
            # Without the mining program there is no summary and none of the others either.
            if not (yield from _ask(f"{STATUS} {part}", heard)) and part == "summary":
                break
    if INFO in heard.replies and not _tells_power_mode(heard.replies):
        yield from _ask(SETTING, heard)
    return heard.answer(joined=bool(joined))


class _Heard:
    __slots__ = ("failure", "latency_ms", "raw", "replies")

    def __init__(self, raw: dict[str, bytes]) -> None:
        self.replies: dict[str, dict[str, Any]] = {}
        self.raw = raw
        self.latency_ms: float | None = None
        self.failure: MinerError | None = None

    def take(self, command: str, reply: Reply) -> None:
        self.raw[command] = reply.raw
        if self.latency_ms is None:
            self.latency_ms = round(reply.latency_ms, 1)
        document = frames.decode(reply.raw)
        frames.raise_for_code(document, command=command)
        name = command.partition(" ")[0]
        before = self.replies.get(name)
        if before:
            document["msg"] = {**message(before), **message(document)}
        self.replies[name] = document

    def answer(self, *, joined: bool) -> Answer:
        if not self.replies:
            raise self.failure or MinerReplyError("the miner says nothing")
        latency_ms = self.latency_ms or 0.0
        snapshot = parse_snapshot(self.replies, firmware=Firmware.WHATSMINER_API3, latency_ms=latency_ms)
        return Answer(replies=self.replies, raw=self.raw, snapshot=snapshot, latency_ms=latency_ms, joined=joined)


def _ask(command: str, heard: _Heard) -> Generator[str, Reply, bool]:
    """Whether it was answered with what was asked for. A machine that answers two commands badly and none well is left alone."""
    try:
        heard.take(command, (yield command))
    except (MinerReplyError, UnsupportedCommand) as error:
        if heard.failure and not heard.replies:
            raise
        heard.failure = error
        return False
    except (MinerAccessDenied, MinerConnectionError, MinerTimeout):
        if not heard.replies:
            raise
        return False
    return True


def _tells_power_mode(replies: Mapping[str, Mapping[str, Any]]) -> bool:
    power = message(replies[INFO]).get("power")
    return type(power) is dict and "mode" in power
