"""What charts and totals are drawn from: readings of a miner or a site by time, and where each site stands now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, Sum

from miners.models import Miner, MinerState
from sites.models import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatistics:
    """Where one site stands. Hash rates in GH/s, power in W; None where no miner reports the value.

    Hash rate and power are those of the miners that are online or sleeping now; what is expected counts every enabled miner that is not
    sleeping, by what it says it should do, else by its nameplate.
    """

    site_id: int
    miners: int = 0
    online: int = 0
    sleeping: int = 0
    offline: int = 0
    stale: int = 0
    never: int = 0
    hashrate_ghs: float | None = None
    hashrate_expected_ghs: float | None = None
    power_consumption: float | None = None
    newest_reading_at: datetime | None = None


def site_statistics(sites: Iterable[Site], *, now: datetime) -> dict[int, SiteStatistics]:
    """The statistics of each site by its primary key, in one grouped query."""
    site_ids = [site.pk for site in sites]
    measured = Q(state__in=[MinerState.ONLINE, MinerState.SLEEPING])
    rows = (
        Miner.objects.filter(site_id__in=site_ids, is_enabled=True)
        .with_state(now)
        .with_expectation()
        .order_by()
        .values("site_id")
        .annotate(
            miners=Count("pk"),
            **{state.value: Count("pk", filter=Q(state=state)) for state in MinerState if state != MinerState.DISABLED},
            hashrate_ghs=Sum("live__hashrate_ghs", filter=measured),
            hashrate_expected_ghs=Sum("expected_ghs", filter=~Q(state=MinerState.SLEEPING)),
            power_consumption=Sum("live__power_consumption", filter=measured),
            newest_reading_at=Max("live__timestamp"),
        )
    )
    found = {row["site_id"]: SiteStatistics(**row) for row in rows}
    return {pk: found.get(pk) or SiteStatistics(site_id=pk) for pk in site_ids}
