"""What an answer of the server means. Only 200 with JSON that says `success: true` is one; a captive portal's page is not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edge_collector.link import Reply


class Meaning(StrEnum):
    ACCEPTED = "accepted"
    LATER = "later"
    """Nothing is wrong with what was sent."""
    SPLIT = "split"
    REFUSED = "refused"
    """The server will not take this as it is."""
    KEY = "key"
    """The key or the site is not accepted."""
    MISSING = "missing"
    """This server is older and has no such address."""


@dataclass(frozen=True, slots=True)
class Answer:
    meaning: Meaning
    document: dict[str, Any]
    """The JSON object that came; empty when none did."""
    words: str
    """One line for the log and the status page."""
    retry_after_s: float | None = None


_BY_STATUS = {401: Meaning.KEY, 403: Meaning.KEY, 404: Meaning.MISSING, 405: Meaning.MISSING, 413: Meaning.SPLIT}
_REFUSALS = frozenset({400, 415, 422})


def read_answer(reply: Reply) -> Answer:
    document = _object(reply.body)
    retry_after = _seconds(reply.headers.get("retry-after")) if reply.status in (429, 503) else None
    if reply.status == 200:
        if document.get("success") is True:
            return Answer(Meaning.ACCEPTED, document, "accepted")
        what = "its JSON does not say success" if document else "it is no JSON: is a login page or a proxy in the way?"
        return Answer(Meaning.LATER, document, f"answered 200, but {what}")
    said = str(document.get("error", ""))[:200] or "no reason given"
    words = f"answered {reply.status}: {said}"
    if 300 <= reply.status < 400:
        where = reply.headers.get("location", "nowhere")[:100]
        return Answer(Meaning.LATER, document, f"redirected to {where}: is a login page in the way, or the address wrong?")
    if reply.status in _REFUSALS and document.get("success") is False:
        return Answer(Meaning.REFUSED, document, words)
    return Answer(_BY_STATUS.get(reply.status, Meaning.LATER), document, words, retry_after)


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; a date is not worth parsing for a wait of our own choosing."""
    try:
        return min(3600.0, max(0.0, float(text or "")))
    except ValueError:
        return None
