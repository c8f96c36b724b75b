"""What one site or several do now against what they should, and what that earns and costs a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.utils.functional import cached_property

from market import quotes
from market.revenue import bitcoin_a_day
from miners.models import MinerState
from telemetry.series import SiteStatistics


@dataclass(frozen=True)
class Standing:
    """Totals of one site or of several, with what follows from them. Hash rates in GH/s, power in W."""

    statistics: Sequence[SiteStatistics]
    price_kwh: Decimal | None = None

    def _sum(self, name: str) -> float | None:
        values = [value for entry in self.statistics if (value := getattr(entry, name)) is not None]
        return sum(values) if values else None

    @cached_property
    def miners(self) -> int:
        return sum(entry.miners for entry in self.statistics)

    @cached_property
    def states(self) -> list[tuple[MinerState, int]]:
        """How many miners are in each state, in the order of a farm's health."""
        shown = (MinerState.ONLINE, MinerState.SLEEPING, MinerState.STALE, MinerState.OFFLINE, MinerState.NEVER)
        return [(state, sum(getattr(entry, state.value) for entry in self.statistics)) for state in shown]

    @cached_property
    def online(self) -> int:
        return sum(entry.online for entry in self.statistics)

    @cached_property
    def hashrate_ghs(self) -> float | None:
        return self._sum("hashrate_ghs")

    @cached_property
    def expected_ghs(self) -> float | None:
        return self._sum("hashrate_expected_ghs")

    @cached_property
    def power_nameplate(self) -> float | None:
        """Of hashing miners that report no power."""
        return self._sum("power_nameplate")

    @cached_property
    def power_consumption(self) -> float | None:
        """What miners report, and the nameplate of those that report none."""
        known = [power for power in (self._sum("power_consumption"), self.power_nameplate) if power is not None]
        return sum(known) if known else None

    @cached_property
    def delivered_percent(self) -> float | None:
        return (self.hashrate_ghs or 0) * 100 / self.expected_ghs if self.expected_ghs else None

    @cached_property
    def lost_ghs(self) -> float:
        """What is expected and not delivered; 0 when nothing is known to be missing."""
        return max(0.0, (self.expected_ghs or 0) - (self.hashrate_ghs or 0))

    @cached_property
    def efficiency(self) -> float | None:
        """J/TH, over the miners whose power is known."""
        hashrate = self._sum("powered_hashrate_ghs")
        return self.power_consumption / hashrate * 1000 if self.power_consumption and hashrate else None

    @cached_property
    def delivered_width(self) -> int:
        """Of a bar, in percent."""
        return round(min(100.0, self.delivered_percent or 0))

    @cached_property
    def cost_day(self) -> float | None:
        """USD of power a day at what is drawn now."""
        if self.price_kwh is None or self.power_consumption is None:
            return None
        return self.power_consumption / 1000 * 24 * float(self.price_kwh)

    @cached_property
    def newest_reading_at(self) -> datetime | None:
        return max((entry.newest_reading_at for entry in self.statistics if entry.newest_reading_at), default=None)


@dataclass(frozen=True, kw_only=True)
class Earnings:
    """Of a day at what is hashed and drawn now, USD; None for unknown.

    `unpriced` sites draw power and have no price for it: theirs is not in `cost`.
    """

    btc: float | None
    revenue: float | None
    cost: float | None
    unpriced: int

    @property
    def margin(self) -> float | None:
        """Unknown, too, while the power of a site costs nobody knows what."""
        return None if self.revenue is None or self.cost is None or self.unpriced else self.revenue - self.cost


def market_standing(*, now: datetime) -> dict[str, quotes.Quote | None]:
    """The price and the difficulty as far as they are known; nothing while market data is off."""
    if not settings.MARKET_DATA:
        return {}
    return {"price": quotes.btc_price(now=now), "difficulty": quotes.btc_difficulty(now=now)}


def earnings(farm: Standing, sites: Sequence[Standing], market: dict[str, quotes.Quote | None]) -> Earnings:
    price, difficulty = market.get("price"), market.get("difficulty")
    btc = None
    if difficulty and farm.hashrate_ghs is not None:
        btc = bitcoin_a_day(farm.hashrate_ghs, difficulty=difficulty.value, subsidy_btc=settings.BLOCK_SUBSIDY_BTC)
    drawing = [standing for standing in sites if standing.power_consumption]
    costs = [standing.cost_day for standing in drawing if standing.cost_day is not None]
    return Earnings(
        btc=btc,
        revenue=btc * price.value if btc is not None and price else None,
        cost=sum(costs) if costs else None,
        unpriced=len(drawing) - len(costs),
    )
