"""The classes of what goes wrong between us and whoever we talk to, and how often each happened.

| class      | it means                                        | what is done                                            |
|------------|-------------------------------------------------|---------------------------------------------------------|
| timeout    | no answer, or not all of it, in the time allowed | tried again with a pause; then the peer counts as away  |
| connection | refused, reset, unreachable, a server's 5xx     | tried again with a pause; then the peer counts as away  |
| dns        | the name does not resolve                       | not tried again: the configuration is wrong             |
| parse      | an answer that can't be read or believed        | not tried again: this value is left out, the last stays |
| auth       | the peer refuses us                             | not tried again: a person must allow it                 |

A class is the word under which it is counted, logged (`error_type`) and stored.
"""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter

FAILURES = Counter(
    "failures_total",
    "What went wrong, by peer (miner, command, market, redis, database) and class (timeout, connection, dns, parse, auth, and a few more).",
    ["peer", "error_class"],
)


class ErrorClass(StrEnum):
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    DNS = "dns"
    PARSE = "parse"
    AUTH = "auth"


def count(peer: str, error_class: str, times: int = 1) -> None:
    FAILURES.labels(peer, error_class).inc(times)
