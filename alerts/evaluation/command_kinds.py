"""Did what was ordered show? Judged by `commands.verification`; counted here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Max

from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.miner_kinds import threshold_of
from alerts.evaluation.questions import held_miners
from alerts.models import AlertRule
from commands.models import MinerCommand, Verification


def command_not_verified(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Commands of a miner judged "not verified" within the rule's minutes; one of the same type that was verified later makes up for it."""
    threshold = threshold_of(rule)
    judged = MinerCommand.objects.filter(verified_at__gte=ground.now - timedelta(minutes=rule.for_minutes))
    failed = judged.filter(verification=Verification.NOT_VERIFIED).order_by()
    if not failed.exists() and rule.pk not in ground.holding:
        return
    done = judged.filter(verification=Verification.VERIFIED, miner__in=failed.values("miner")).order_by()
    done_at = {(miner, command): at for miner, command, at in done.values_list("miner", "command").annotate(Max("sent_at"))}
    counts: dict[int, int] = {}
    what: dict[int, set[str]] = {}
    for miner, command, count, sent_at in failed.values_list("miner", "command").annotate(Count("pk"), Max("sent_at")):
        made_up = done_at.get((miner, command))
        if made_up is None or made_up < sent_at:
            counts[miner] = counts.get(miner, 0) + count
            what.setdefault(miner, set()).add(command)
    miners = ground.miners(rule).order_by()
    known = set(held_miners(miners, rule, ground).values_list("pk", flat=True))
    often = [pk for pk, count in counts.items() if count >= threshold and pk not in known]
    for pk in [*known, *miners.filter(pk__in=often).values_list("pk", flat=True)]:
        count = counts.get(pk, 0)
        verdict = Verdict.BAD if count >= threshold else Verdict.GOOD
        facts = {"commands": sorted(what.get(pk, ()))}
        yield Answer(subject=pk, verdict=verdict, value=float(count), limit=threshold, heard_at=ground.now, facts=facts)
