"""What a miner cannot do, said when a command is asked for and not at the miner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cgminer.actions import Dialect, dialect_of_report, why_not
from commands.params import InvalidCommand
from miners.models import Miner
from sites.models import Site
from telemetry.models import MinerTelemetryLive

OF_THE_MAKER = frozenset({Dialect.ANTMINER, Dialect.AVALON, Dialect.WHATSMINER, Dialect.SEALMINER, Dialect.AURADINE})
"""Firmware whose abilities the catalogue of models lists; others bring their own."""
_AT_ONCE = 5_000


def refuse_impossible(miners: Sequence[Miner], command: str, params: Mapping[str, Any]) -> None:
    """Raise InvalidCommand when this server would have to tell a miner something that its firmware cannot do."""
    reasons = impossible(miners, command, params)
    if not reasons:
        return
    first = next(miner for miner in miners if miner.pk in reasons)
    others = f" The same goes for {len(reasons) - 1} more of the {len(miners)} miners." if len(reasons) > 1 else ""
    raise InvalidCommand("command", f"{first.miner_id}: {reasons[first.pk]}.{others}")


def impossible(miners: Sequence[Miner], command: str, params: Mapping[str, Any]) -> dict[int, str]:
    """Why, by primary key, for those miners of server-polled sites whose firmware is known not to do it."""
    polled = set(Site.objects.filter(collection=Site.Collection.SERVER).values_list("pk", flat=True))
    ours = [miner for miner in miners if miner.site_id in polled]
    found: dict[int, str] = {}
    for miner, model, version in _reported(ours):
        dialect = dialect_of_report(model=model, firmware_version=version)
        if dialect and (reason := why_not(dialect, command, params) or _not_of_the_model(miner, dialect, command)):
            found[miner.pk] = reason
    return found


def doubtful(miners: Sequence[Miner], command: str) -> list[Miner]:
    """Miners behind edge collectors whose model is not listed with this command; the agent may know a way all the same."""
    collected = set(Site.objects.filter(collection=Site.Collection.COLLECTOR).values_list("pk", flat=True))
    return [miner for miner in miners if miner.site_id in collected and miner.model and _is_missing(miner, command)]


def _not_of_the_model(miner: Miner, dialect: Dialect, command: str) -> str | None:
    if dialect not in OF_THE_MAKER or miner.model is None or not _is_missing(miner, command):
        return None
    return f"{miner.model.name} with {dialect} cannot do {command}"


def _is_missing(miner: Miner, command: str) -> bool:
    """An empty list says that nobody filled it in."""
    return miner.model is not None and bool(miner.model.capabilities) and command not in miner.model.capabilities


def _reported(miners: Sequence[Miner]) -> Iterator[tuple[Miner, str | None, str | None]]:
    """Each miner with the model and firmware version it reported last."""
    for start in range(0, len(miners), _AT_ONCE):
        some = miners[start : start + _AT_ONCE]
        rows = MinerTelemetryLive.objects.filter(miner__in=[miner.pk for miner in some])
        live = {pk: (model, version) for pk, model, version in rows.values_list("miner_id", "model", "firmware_version")}
        for miner in some:
            model, version = live.get(miner.pk, (None, None))
            yield miner, model or (miner.model.name if miner.model else None), version
