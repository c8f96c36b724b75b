"""Is a miner at a pool where this farm mines? And do pools take its shares?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from django.db.models import Count, Q

from alerts.evaluation.answers import Answer, Verdict
from alerts.evaluation.ground import Ground
from alerts.evaluation.grouping import host_of
from alerts.evaluation.miner_kinds import awake
from alerts.evaluation.questions import held_miners
from alerts.models import AlertRule

USUAL_SHARE = 0.2
"""A pool that this share of a site's miners use is one of the site's own: its main one, or the one it fails over to."""
FEWEST_KNOWN = 5
"""With fewer miners of known pool a site has no habit to judge by."""


def wrong_pool(rule: AlertRule, ground: Ground) -> Iterator[Answer]:
    """Against the rule's expected pools, by host; where it names none, against those that a fifth of the site's miners use."""
    judged = awake(ground) & Q(live__pool_url__isnull=False) & ~Q(live__pool_url="")
    miners = ground.miners(rule).order_by()
    wrong = _wrong_urls(rule, ground, judged)
    known = set()
    fresh = dict(held_miners(miners, rule, ground).filter(judged).values_list("pk", "live__pool_url"))
    for pk, site, heard_at in held_miners(miners, rule, ground).values_list("pk", "site", "live__timestamp"):
        known.add(pk)
        verdict = Verdict.STALE if pk not in fresh else Verdict.BAD if fresh[pk] in wrong.get(site, ()) else Verdict.GOOD
        yield Answer(subject=pk, verdict=verdict, heard_at=heard_at, facts={"pool": host_of(fresh.get(pk))})
    elsewhere = Q(pk__in=[])
    for site, urls in wrong.items():
        elsewhere |= Q(site=site, live__pool_url__in=urls)
    if not wrong:
        return
    for pk, url, heard_at in miners.filter(judged & elsewhere).values_list("pk", "live__pool_url", "live__timestamp"):
        if pk not in known:
            yield Answer(subject=pk, verdict=Verdict.BAD, heard_at=heard_at, facts={"pool": host_of(url)})


def _wrong_urls(rule: AlertRule, ground: Ground, judged: Q) -> dict[int, set[str]]:
    """By site the addresses of pools that are not its own. A habit is what all of a site's miners do, in the rule's scope or not."""
    in_use: dict[int, Counter[str]] = defaultdict(Counter)
    all_miners = ground.all_miners().filter(judged).order_by()
    for site, url, count in all_miners.values_list("site", "live__pool_url").annotate(Count("pk")):
        in_use[site][url] = count
    found = {}
    for site, urls in in_use.items():
        right = {host_of(str(pool)) for pool in rule.expected_pools} or _usual_hosts(urls)
        if wrong := {url for url in urls if right and host_of(url) not in right}:
            found[site] = wrong
    return found


def _usual_hosts(urls: Counter[str]) -> set[str]:
    hosts: Counter[str] = Counter()
    for url, count in urls.items():
        hosts[host_of(url)] += count
    known = hosts.total()
    return {host for host, count in hosts.items() if count >= USUAL_SHARE * known} if known >= FEWEST_KNOWN else set()
