"""What miners that have an alert of their own, or were told to, explain of a change of their site: it is not said a second time."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Coalesce

from alerts.evaluation.ground import Ground
from alerts.models import AlertMember, Condition, RuleKind
from commands.models import CommandType, MinerCommand
from miners.models import Miner

RECENT = timedelta(minutes=45)
"""As far back as a step is looked for, and what conditions take to show."""
AWAY_OR_WEAK = (RuleKind.MINER_OFFLINE, RuleKind.HASHRATE_LOW, RuleKind.BOARD_LOST)
SWITCHED = (CommandType.ENABLE, CommandType.DISABLE, CommandType.RESTART, CommandType.REBOOT)

_SHOULD_GHS = Coalesce("live__hashrate_expected_ghs", "model__hashrate_ghs", 0.0)
_SHOULD_W = Coalesce("model__power_consumption", 0.0)


def missing_hashrate(ground: Ground) -> dict[int, float]:
    """GH/s by site that such miners should do and do not, or did not until a moment ago."""
    return _added(
        _sum_by_site(_fallen(ground), _SHOULD_GHS - Coalesce("live__hashrate_ghs", 0.0)), _sum_by_site(_back(ground), _SHOULD_GHS)
    )


def missing_power(ground: Ground) -> dict[int, float]:
    """W by site, of the nameplate, that such miners do not draw, or did not until a moment ago."""
    return _added(
        _sum_by_site(_fallen(ground), _SHOULD_W - Coalesce("live__power_consumption", 0.0)), _sum_by_site(_back(ground), _SHOULD_W)
    )


def returned_power(ground: Ground) -> dict[int, float]:
    """W by site that miners draw which have recovered."""
    return _sum_by_site(_back(ground) | _switched(ground), Coalesce("live__power_consumption", 0.0))


def _back(ground: Ground) -> Q:
    back = AlertMember.objects.filter(left_at__gte=_since(ground), alert__rule__kind__in=AWAY_OR_WEAK)
    return Q(pk__in=back.values("miner"))


def _fallen(ground: Ground) -> Q:
    fallen = Condition.objects.filter(rule__kind__in=AWAY_OR_WEAK, bad_since__gte=_since(ground), miner__isnull=False)
    return Q(pk__in=fallen.values("miner")) | _switched(ground)


def _switched(ground: Ground) -> Q:
    told = MinerCommand.objects.filter(command__in=SWITCHED, sent_at__gte=_since(ground))
    return Q(pk__in=told.values("miner"))


def _since(ground: Ground) -> datetime:
    return ground.now - RECENT


def _added(one: dict[int, float], other: dict[int, float]) -> dict[int, float]:
    return {site: one.get(site, 0.0) + other.get(site, 0.0) for site in one.keys() | other.keys()}


def _sum_by_site(which: Q, amount: Any) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    for site, value in Miner.objects.filter(which, is_enabled=True).order_by().annotate(amount=amount).values_list("site", "amount"):
        found[site] += max(0.0, float(value))
    return found
