"""Kinds that compare counters with what they said at an earlier look: restarts and rejected shares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, F, Q

from alerts.evaluation import statements
from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.miner_kinds import answers, threshold_of
from alerts.evaluation.questions import held_miners
from alerts.models import AlertRule, MinerLook, MinerRestart
from commands.models import CommandType, MinerCommand

SHARES_EVERY = timedelta(minutes=10)
FEWEST_SHARES = 20
"""Of fewer shares a rejected one is chance."""
KEPT_RESTARTS = timedelta(days=30)
ORDERED = (CommandType.RESTART, CommandType.REBOOT, CommandType.ENABLE)
ORDERED_WITHIN = timedelta(minutes=15)


def note_restarts(ground: Ground) -> int:
    """Keep each restart that an uptime tells of; returns how many were new.

    One that was ordered, or happened in maintenance, moves the known start and is not kept.
    """
    statements.add_looks()
    found = dict(statements.restarted())
    if not found:
        return 0
    looks = [MinerLook(miner_id=pk, booted_at=booted) for pk, booted in found.items()]
    MinerLook.objects.bulk_update(looks, ["booted_at"], batch_size=1_000)
    excused = set(ground.in_maintenance().filter(pk__in=found).values_list("pk", flat=True))
    sent = MinerCommand.objects.filter(miner__in=found, command__in=ORDERED, sent_at__isnull=False)
    for miner, sent_at in sent.filter(sent_at__gte=min(found.values()) - ORDERED_WITHIN).values_list("miner_id", "sent_at"):
        if sent_at and abs(found[miner] - sent_at) <= ORDERED_WITHIN:
            excused.add(miner)
    kept = [MinerRestart(miner_id=pk, at=booted) for pk, booted in found.items() if pk not in excused]
    MinerRestart.objects.bulk_create(kept, batch_size=1_000)
    return len(kept)


def reboot_loop(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """So many restarts within the rule's minutes. A miner that is away is not judged, unless it just restarted too often."""
    threshold, since = threshold_of(rule), ground.now - timedelta(minutes=rule.for_minutes)
    counts = dict(MinerRestart.objects.filter(at__gte=since).order_by().values_list("miner").annotate(Count("pk")))
    miners = ground.miners(rule).order_by()
    held = held_miners(miners, rule, ground)
    reached = set(held.filter(answers(ground)).values_list("pk", flat=True))
    known = dict(held.values_list("pk", "live__timestamp"))
    often = [pk for pk, count in counts.items() if count >= threshold and pk not in known]
    heard = known | dict(miners.filter(pk__in=often).values_list("pk", "live__timestamp"))
    for pk, heard_at in heard.items():
        count = counts.get(pk, 0)
        verdict = Verdict.BAD if count >= threshold else Verdict.GOOD if pk in reached else Verdict.STALE
        yield Answer(subject=pk, verdict=verdict, value=float(count), limit=threshold, heard_at=heard_at)


def rejects_high(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Of the shares since the last look, which is ten minutes ago or more. A miner that restarted meanwhile is looked at next time."""
    threshold = threshold_of(rule)
    rejected, accepted = F("live__rejected_shares") - F("look__rejected_shares"), F("live__accepted_shares") - F("look__accepted_shares")
    miners = ground.miners(rule).annotate(rejected=rejected, accepted=accepted, shares=rejected + accepted).order_by()
    due = answers(ground) & Q(
        look__shares_at__lte=ground.now - SHARES_EVERY, live__timestamp__gt=F("look__shares_at"), rejected__gte=0, accepted__gte=0
    )
    enough = due & Q(shares__gte=FEWEST_SHARES)
    known = {}
    held = held_miners(miners, rule, ground)
    counted = dict(held.filter(enough).values_list("pk", F("rejected") * 100.0 / F("shares")))
    reached = set(held.filter(answers(ground)).values_list("pk", flat=True))
    for pk, heard_at in held.values_list("pk", "live__timestamp"):
        known[pk] = heard_at
        verdict = Verdict.UNSEEN if pk in reached else Verdict.STALE
        value = counted.get(pk)
        if value is not None:
            verdict = Verdict.BAD if value >= threshold else Verdict.GOOD if value < threshold - rule.clear_margin else Verdict.BETWEEN
        yield Answer(subject=pk, verdict=verdict, value=value, limit=threshold, heard_at=heard_at)
    bad = miners.filter(enough, rejected__gte=F("shares") * (threshold / 100))
    for pk, heard_at, value in bad.values_list("pk", "live__timestamp", F("rejected") * 100.0 / F("shares")):
        if pk not in known:
            yield Answer(subject=pk, verdict=Verdict.BAD, value=value, limit=threshold, heard_at=heard_at)


def renew_shares(ground: Ground) -> int:
    """The end of a look: what the counters say now is what the next one compares with."""
    return statements.renew_shares(ground.now - SHARES_EVERY)


def forget_restarts(ground: Ground) -> int:
    return MinerRestart.objects.filter(at__lt=ground.now - KEPT_RESTARTS).delete()[0]
