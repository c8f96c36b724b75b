"""Replies of miners word for word: made fit to be read, and the last one of each miner kept.

They are many times the size of a reading, so the poller keeps one of a miner an hour, a few miners each round, and each that
could not be read: that is the one somebody will want to see.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from cgminer.poll import Outcome
from miners.models import Miner
from telemetry.models import MinerRawReply

KEEP_EVERY_S = 3600
NEW_AT_ONCE = 500
"""A round with so few miners keeps what each of the new ones said; in a larger one that would cost as much as reading them."""
_SECRET_WORDS = ("pass", "pwd", "token", "secret", "key")
# Words are short: without a bound, a reply made for it could keep this busy for minutes.
_SECRETS = re.compile(
    r'((?:pass|pwd|token|secret|(?:api|private|access)[_ ]?key)\w{0,24}"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|[^,|}\s]+)', re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One reply as it came, by the command as it was sent; bytes that are no text are escaped, passwords are blacked out."""

    command: str
    size_bytes: int
    text: str

    @property
    def indented(self) -> str:
        """With a line for each field where the reply is proper JSON, else as it came."""
        with suppress(ValueError, RecursionError):
            return json.dumps(json.loads(self.text.removesuffix("\\0")), indent=2, ensure_ascii=False)
        return self.text


def heard(raw: Mapping[str, bytes]) -> list[Heard]:
    return [Heard(command=command, size_bytes=len(reply), text=readable(reply)) for command, reply in raw.items()]


def readable(raw: bytes) -> str:
    """The length that stands before a reply of Whatsminer's API 3 is left out."""
    is_framed = len(raw) > 4 and int.from_bytes(raw[:4], "little") == len(raw) - 4
    text = (raw[4:] if is_framed else raw).decode("utf-8", "backslashreplace").replace("\0", "\\0")
    plain = text.lower()
    if not any(word in plain for word in _SECRET_WORDS):
        return text
    return _SECRETS.sub(_blacked_out, text)


def _blacked_out(found: re.Match[str]) -> str:
    return found[1] + ('"***"' if '"' in found[1] else "***")


def keep_this_round(miner_pk: int, round_number: int, interval_s: int) -> bool:
    """Whether it is this miner's turn: each has one an hour, and each round about as many as any other."""
    return (miner_pk + round_number) % max(1, KEEP_EVERY_S // interval_s) == 0


def store_replies(outcomes: Iterable[Outcome]) -> None:
    """Keep the replies that outcomes carry, in one statement; those of miners deleted meanwhile are left out."""
    carried = {int(outcome.target.key): outcome for outcome in outcomes if outcome.raw}
    if not carried:
        return
    present = Miner.objects.filter(pk__in=carried).values_list("pk", flat=True)
    rows = [
        MinerRawReply(
            miner_id=pk,
            received_at=carried[pk].finished_at,
            error_message=str(carried[pk].error or "")[:500],
            replies=_packed(heard(carried[pk].raw or {})),
        )
        for pk in present
    ]
    columns = ["received_at", "error_message", "replies"]
    MinerRawReply.objects.bulk_create(rows, update_conflicts=True, unique_fields=["miner"], update_fields=columns, batch_size=500)


def _packed(replies: list[Heard]) -> bytes:
    return zlib.compress(json.dumps([asdict(each) for each in replies], ensure_ascii=False).encode(), level=1)


def unpacked(row: MinerRawReply) -> list[Heard]:
    return [Heard(**each) for each in json.loads(zlib.decompress(row.replies))]
