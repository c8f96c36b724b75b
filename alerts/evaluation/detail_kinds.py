"""Kinds that need the lists of a reading: fans, boards, chips. The database picks out the few miners whose lists are worth unpacking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.miner_kinds import awake, threshold_of
from alerts.evaluation.questions import held_miners
from alerts.models import AlertRule
from miners.models import MinerModel
from telemetry.readings import Board

Facts = dict[str, Any]
Measure = Callable[[Facts], tuple[float | None, dict[str, Any]]]
"""The value of a miner's lists and what to say of it; None when they do not tell."""

_FANS = msgspec.json.Decoder(list[float])
_BOARDS = msgspec.json.Decoder(list[Board])


def fan_failed(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """A fan that turns more slowly than the threshold, in rpm. Only air-cooled miners that hash; sockets without a fan do not count."""
    threshold = threshold_of(rule)
    slow = Q(detail__fan_speeds__regex=rf"[\[, ]\d{{1,{len(str(int(threshold)))}}}(\.\d+)?[\], ]")
    cooled = Q(model=None) | Q(model__cooling=MinerModel.Cooling.AIR)
    judged = awake(ground) & cooled & Q(live__hashrate_ghs__gt=0) & ~Q(detail__fan_speeds__in=["", "[]"]) & Q(detail__isnull=False)

    def measure(facts: Facts) -> tuple[float | None, dict[str, Any]]:
        speeds = _FANS.decode(facts["detail__fan_speeds"] or "[]")
        fitted = facts["model__fans"] or len(speeds)
        standing = sorted((speed, number) for number, speed in enumerate(speeds, start=1) if speed < threshold)
        # A control board has four sockets however many fans a model has; the empty ones read 0.
        failed = len(standing) - max(0, len(speeds) - fitted)
        if failed <= 0:
            return min((speed for speed in speeds if speed >= threshold), default=None), {}
        return standing[0][0], {"fans": [number for _, number in standing]}

    rows = _rows(rule, ground, judged=judged, candidates=slow, names=("detail__fan_speeds", "model__fans"))
    for facts in rows:
        yield _judge(facts, measure, limit=threshold, bad=lambda value: value < threshold, good=lambda value: value >= threshold)


def board_lost(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Boards that do not hash in a miner that does. Of the boards its model has, where the rule takes that; else of those reported."""
    threshold = threshold_of(rule)
    fitted = Coalesce("model__boards", "live__boards_total") if rule.threshold_from_model else F("live__boards_total")
    judged = awake(ground) & Q(live__hashrate_ghs__gt=0) & Q(live__boards_healthy__isnull=False)
    rows = _rows(rule, ground, judged=judged, candidates=Q(live__boards_healthy__lt=fitted), names=_OF_BOARDS)

    def measure(facts: Facts) -> tuple[float | None, dict[str, Any]]:
        boards = _BOARDS.decode(facts["detail__boards"] or "[]")
        total = max(facts["live__boards_total"] or 0, (facts["model__boards"] or 0) if rule.threshold_from_model else 0)
        if not boards:
            return float(max(0, total - facts["live__boards_healthy"])), {}
        dead = [str(board.id) for board in boards if _is_dead(board)]
        return float(len(dead) + max(0, total - len(boards))), {"boards": dead}

    for facts in rows:
        yield _judge(facts, measure, limit=threshold, bad=lambda value: value >= threshold, good=lambda value: value < threshold)


def chips_lost(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """The share of chips that do not work on boards that do: a dead board is a matter of its own."""
    threshold = threshold_of(rule)
    judged = awake(ground) & Q(live__boards_healthy__isnull=False)
    missing = Q(live__boards_healthy__lt=F("live__boards_total"))
    rows = _rows(rule, ground, judged=judged, candidates=missing, names=_OF_BOARDS)

    def measure(facts: Facts) -> tuple[float | None, dict[str, Any]]:
        alive = [board for board in _BOARDS.decode(facts["detail__boards"] or "[]") if not _is_dead(board)]
        fitted = facts["model__chips_per_board"]
        counted = [(board.chips_ok, board.chips_total or fitted) for board in alive if board.chips_ok]
        total = sum(chips for _, chips in counted if chips)
        working = sum(min(working, chips) for working, chips in counted if chips)
        return (100.0 * (total - working) / total if total else None), {}

    cleared = threshold - rule.clear_margin
    for facts in rows:
        yield _judge(facts, measure, limit=threshold, bad=lambda value: value >= threshold, good=lambda value: value < cleared)


_OF_BOARDS = ("detail__boards", "live__boards_total", "live__boards_healthy", "model__boards", "model__chips_per_board")


def _is_dead(board: Board) -> bool:
    return board.hashrate == 0 or (board.hashrate is None and board.chips_ok == 0)


def _rows(rule: AlertRule, ground: Ground, *, judged: Q, candidates: Q, names: tuple[str, ...]) -> Iterator[Facts]:
    """Facts of all that may be bad, and of all that have a condition of the rule, those marked as `judged` or not."""
    miners, known = ground.miners(rule).order_by(), set()
    columns = ("pk", "live__timestamp", *names)
    held = held_miners(miners, rule, ground)
    fresh = set(held.filter(judged).values_list("pk", flat=True))
    for row in held.values_list(*columns):
        facts: Facts = dict(zip(columns, row, strict=True))
        facts["judged"] = facts["pk"] in fresh
        known.add(facts["pk"])
        yield facts
    for row in miners.filter(judged & candidates).values_list(*columns).iterator(chunk_size=5_000):
        if row[0] not in known:
            yield {**dict(zip(columns, row, strict=True)), "judged": True}


def _judge(facts: Facts, measure: Measure, *, limit: float, bad: Callable[[float], bool], good: Callable[[float], bool]) -> Answer:
    answer = Answer(subject=facts["pk"], verdict=Verdict.STALE, limit=limit, heard_at=facts["live__timestamp"])
    if not facts["judged"]:
        return answer
    answer.value, answer.facts = measure(facts)
    if answer.value is not None:
        answer.verdict = Verdict.BAD if bad(answer.value) else Verdict.GOOD if good(answer.value) else Verdict.BETWEEN
    return answer
