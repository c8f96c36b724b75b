"""Where things are in a reply: sections that are lists, objects, or under another name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

Row = Mapping[str, Any]
Replies = Mapping[str, Mapping[str, Any]]
Fields = dict[str, Any]
"""The fields of a Snapshot gathered so far."""

NOTHING: Final[Row] = {}
MAX_ROWS: Final = 256
"""More boards, pools or devices than any machine has; what lies beyond is not read."""


def rows(reply: Row | None, *names: str) -> list[Row]:
    """The rows of the first section present. An object is one row, an object of objects (fdminer) several."""
    if not reply:
        return []
    for name in names:
        value = reply.get(name)
        if type(value) is list:
            return [row for row in value[:MAX_ROWS] if type(row) is dict]
        if type(value) is dict:
            inner = list(islice(value.values(), MAX_ROWS))
            return inner if inner and all(type(row) is dict for row in inner) else [value]
    return []


def first(reply: Row | None, name: str) -> Row:
    value = reply.get(name) if reply else None
    if type(value) is list and value and type(value[0]) is dict:
        return value[0]
    found = rows(reply, name)
    return found[0] if found else NOTHING


def message(reply: Row | None) -> Row:
    """The object under `Msg` (Whatsminer), empty where it is a word."""
    value = reply.get("Msg", reply.get("msg")) if reply else None
    return value if type(value) is dict else NOTHING


def summary_row(replies: Replies) -> Row:
    reply = replies.get("summary")
    return first(reply, "SUMMARY") or message(reply)


def device_rows(replies: Replies) -> list[Row]:
    """`edevs` lists only the enabled ones where both exist; either will do."""
    return rows(replies.get("edevs"), "DEVS") or rows(replies.get("devs"), "DEVS")


def stats_rows(replies: Replies) -> list[Row]:
    """Rows about the machine: those about pools are left out."""
    found = rows(replies.get("stats"), "STATS") or rows(replies.get("estats"), "STATS") or rows(replies.get("litestats"), "STATS")
    return [row for row in found if "ID" not in row or not str(row["ID"]).startswith("POOL")]


def version_row(replies: Replies) -> Row:
    return first(replies.get("version"), "VERSION")


def pick(row: Row, names: Iterable[str]) -> Any:
    """The first value present, None and empty text passed over."""
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def keep(fields: Fields, **found: Any) -> None:
    """Sets what was found; what was not leaves the fields as they are."""
    for name, value in found.items():
        if value is not None and value != ():
            fields[name] = value


def fill(fields: Fields, **found: Any) -> None:
    """Sets only what is still missing."""
    for name, value in found.items():
        if value is not None and value != () and fields.get(name) is None:
            fields[name] = value
