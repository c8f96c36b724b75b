"""Questions about miners that one statement over their live rows answers: how it is asked, the same for every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Case, F, Q, QuerySet, Value, When

from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.models import AlertRule
from miners.models import Miner

Expression = Any
"""What Django takes as a value: the name of a column, an F, a function of some, or a plain number."""
VALUE, LIMIT = "read_value", "read_limit"
"""The names of a question's value and limit in its conditions."""


def _as_number(value: Any, _interval_seconds: int) -> float | None:
    return None if value is None else float(value)


@dataclass(slots=True, kw_only=True)
class Question:
    """`bad` and `good` are asked of miners that are `judged`; those of the others that have a condition are stale.

    `measure` makes the answer's value of what was read and the interval of the miner's site, in seconds.
    """

    value: Expression
    limit: Expression
    judged: Q
    bad: Q
    good: Q
    measure: Callable[[Any, int], float | None] = _as_number


def at_least(margin: float) -> tuple[Q, Q]:
    """Bad from the limit on, good below it by more than the margin. A value that is not known is neither."""
    return Q(**{f"{VALUE}__gte": F(LIMIT)}), Q(**{f"{VALUE}__lt": F(LIMIT) - margin})


def below(margin: float) -> tuple[Q, Q]:
    """Bad below the limit, good above it by the margin or more."""
    return Q(**{f"{VALUE}__lt": F(LIMIT)}), Q(**{f"{VALUE}__gte": F(LIMIT) + margin})


def ask(question: Question, rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Who is bad, by one statement over all miners; and how those stand that have a condition of the rule, by another over them."""
    miners = ground.miners(rule).annotate(**{VALUE: _expression(question.value), LIMIT: _expression(question.limit)}).order_by()
    known = set()
    for pk, verdict, *read in _rows(held_miners(miners, rule, ground).annotate(verdict=_verdict(question)), "verdict"):
        known.add(pk)
        yield _answer(question, pk, Verdict(verdict), *read)
    for pk, *read in _rows(miners.filter(question.judged & question.bad)):
        if pk not in known:
            yield _answer(question, pk, Verdict.BAD, *read)


def held_miners(miners: QuerySet[Miner], rule: AlertRule, ground: Ground) -> QuerySet[Miner]:
    """Those of `miners` for which the rule's condition holds, or was good a moment ago. Costs nothing where there are none."""
    return miners.filter(alert_conditions__rule=rule) if rule.pk in ground.holding else miners.none()


def _verdict(question: Question) -> Case:
    return Case(
        When(question.judged & question.bad, then=Value(Verdict.BAD.value)),
        When(question.judged & question.good, then=Value(Verdict.GOOD.value)),
        When(question.judged, then=Value(Verdict.BETWEEN.value)),
        default=Value(Verdict.STALE.value),
        output_field=models.CharField(),
    )


def _rows(miners: QuerySet[Miner], *more: str) -> Iterator[tuple[Any, ...]]:
    return miners.values_list("pk", *more, "live__timestamp", "site__interval_seconds", VALUE, LIMIT).iterator(chunk_size=5_000)


def _answer(question: Question, pk: int, verdict: Verdict, heard_at: Any, interval_s: int, value: Any, limit: Any) -> Answer:
    return Answer(subject=pk, verdict=verdict, value=question.measure(value, interval_s), limit=limit, heard_at=heard_at)


def _expression(given: Expression) -> Expression:
    if given is None or isinstance(given, (int, float)):
        return Value(given, output_field=models.FloatField(null=True))
    return F(given) if isinstance(given, str) else given
