"""Which orders a second person must approve, by the rules of the sites they hit."""

from __future__ import annotations

from collections.abc import Sequence

from commands.models import ApprovalRule
from miners.models import Miner


def rules_that_apply(miners: Sequence[Miner], command: str) -> list[ApprovalRule]:
    """The rules by which `command` for `miners`, taken together, waits for somebody else's approval."""
    rules = ApprovalRule.objects.filter(site__in={miner.site_id for miner in miners}).select_related("site")
    return [rule for rule in rules if command in rule.commands or (rule.above_miners is not None and len(miners) > rule.above_miners)]
