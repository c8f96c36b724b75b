"""Kinds that a miner's live row answers: offline, hash rate, temperature, power, worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Case, F, FloatField, Q, Value, When
from django.db.models.functions import Coalesce, Concat, Lower, NullIf
from django.db.models.lookups import Exact

from alerts.defaults import DEFAULTS
from alerts.evaluation.answers import Answer
from alerts.evaluation.ground import Ground
from alerts.evaluation.questions import VALUE, Expression, Question, ask, at_least, below
from alerts.models import AlertRule, RuleKind
from miners.models import STALE_INTERVALS

SLEEPING = "sleeping"
FALLEN = 0.5
"""A hash rate over the last seconds that is less than this share of the average tells of a fall that the average does not show yet."""


def threshold_of(rule: AlertRule) -> float:
    """The rule's own, or what its kind starts with where that is empty."""
    chosen = rule.threshold if rule.threshold is not None else DEFAULTS[RuleKind(rule.kind)].threshold
    return 0.0 if chosen is None else chosen


def answers(ground: Ground) -> Q:
    """Miners that were heard of, and reached."""
    return ground.heard() & Q(live__online=True)


def awake(ground: Ground) -> Q:
    """Those of them that do not sleep."""
    return answers(ground) & (Q(live__mining_state=None) | ~Q(live__mining_state=SLEEPING))


def offline(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Not reached, or not heard of, for so many rounds. Where a site or its collector is silent nothing is known."""
    stale, long_enough = Q(pk__in=[]), Q(pk__in=[])
    for seconds, since in ground.cutoffs(STALE_INTERVALS).items():
        stale |= Q(site__interval_seconds=seconds, live__timestamp__lt=since)
    for seconds, since in ground.cutoffs(threshold_of(rule)).items():
        long_enough |= Q(**{"site__interval_seconds": seconds, f"{VALUE}__lte": since})
    question = Question(
        value=Coalesce("live__last_online_at", "created_at"),
        limit=threshold_of(rule),
        judged=~ground.silent_places & Q(live__timestamp__isnull=False),
        bad=(Q(live__online=False) | stale) & long_enough,
        good=answers(ground),
        measure=lambda since, interval_s: float((ground.now - since) // timedelta(seconds=interval_s)),
    )
    return ask(question, rule, ground)


def hashrate_low(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Against what the miner says it should do, else its nameplate; the nameplate first where the rule takes thresholds from the model.

    One that sleeps is not expected to hash.
    """
    sources = ["live__hashrate_expected_ghs", "model__hashrate_ghs"]
    expected = Coalesce(*(reversed(sources) if rule.threshold_from_model else sources))
    fallen = Q(live__hashrate_5s_ghs__lt=F("live__hashrate_ghs") * FALLEN)
    rate = Case(When(fallen, then="live__hashrate_5s_ghs"), default=Coalesce("live__hashrate_ghs", "live__hashrate_5s_ghs"))
    bad, good = below(rule.clear_margin)
    asleep = Q(live__mining_state=SLEEPING)
    question = Question(
        value=rate * 100.0 / NullIf(expected, Value(0.0)),
        limit=threshold_of(rule),
        judged=answers(ground),
        bad=bad & (~asleep | Q(live__mining_state=None)),
        good=good | asleep,
    )
    return ask(question, rule, ground)


def temperature_high(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """The limit is the model's highest temperature where the rule takes it from there and it is known."""
    limit: Expression = threshold_of(rule)
    if rule.threshold_from_model:
        limit = Coalesce("model__temperature_max", Value(limit), output_field=FloatField())
    bad, good = at_least(rule.clear_margin)
    question = Question(value="live__temperature_max", limit=limit, judged=answers(ground), bad=bad, good=good)
    return ask(question, rule, ground)


def power_high(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """In per cent of the model's nameplate; a miner of unknown model is not judged."""
    bad, good = at_least(rule.clear_margin)
    value = F("live__power_consumption") * 100.0 / NullIf("model__power_consumption", Value(0.0))
    return ask(Question(value=value, limit=threshold_of(rule), judged=answers(ground), bad=bad, good=good), rule, ground)


def wrong_worker(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Against the inventory's expected worker, which may leave out the account: "m7" fits "account.m7". Case does not count."""
    account = Concat(Value("."), "worker_name")
    same = Q(Exact(Lower("live__worker_name"), Lower("worker_name"))) | Q(live__worker_name__iendswith=account)
    question = Question(
        value=None,
        limit=None,
        judged=awake(ground) & ~Q(worker_name="") & Q(live__worker_name__isnull=False) & ~Q(live__worker_name=""),
        bad=~same,
        good=same,
    )
    return ask(question, rule, ground)
