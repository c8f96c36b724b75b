"""The BTC price and the network difficulty, with their source and age. A value that is too old to be true is not given out.

The providers of a quantity are asked in order, each behind a breaker of its own; the first believable answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial

import structlog
from django.conf import settings
from django.utils import timezone
from prometheus_client import Counter
from pybreaker import CircuitBreaker, CircuitBreakerError

from market.models import MarketSample, Quantity
from market.providers import PROVIDERS, Provider, ProviderFailed
from resilience import failures, swr
from resilience.breakers import shared_breaker
from resilience.models import KeptValue

log = structlog.get_logger(__name__)

FRESH_S = {Quantity.PRICE: 60.0, Quantity.DIFFICULTY: 300.0}
BELIEVED_FOR = {Quantity.PRICE: timedelta(hours=1), Quantity.DIFFICULTY: timedelta(hours=24)}
"""An older value is unknown: it may be shown to nobody as what holds now."""
LARGEST_JUMP = {Quantity.PRICE: 2.0, Quantity.DIFFICULTY: 4.0}
"""Against a value that is still believed. The network itself moves the difficulty by no more than four times."""
SAMPLE_EVERY = timedelta(minutes=5)
ANSWERS = Counter("market_answers_total", "Answers of market data providers.", ["provider", "result"])


class MarketUnavailable(Exception):
    """No provider gave a believable value; the message has each one's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price in USD for one bitcoin, or a difficulty."""

    value: float
    source: str
    at: datetime

    @property
    def trillions(self) -> float:
        """As miners speak of the difficulty."""
        return self.value / 1e12


def btc_price(*, now: datetime) -> Quote | None:
    """The price as far as it is known, at once; None for unknown, and always while market data is off."""
    return _quote(Quantity.PRICE, now=now)


def btc_difficulty(*, now: datetime) -> Quote | None:
    return _quote(Quantity.DIFFICULTY, now=now)


def _quote(quantity: Quantity, *, now: datetime) -> Quote | None:
    if not settings.MARKET_DATA:
        return None
    kept = swr.read(quantity.value, fetch=partial(fetch, quantity), fresh_s=FRESH_S[quantity], now=now)
    return _as_quote(quantity, kept, now=now)


def _as_quote(quantity: Quantity, kept: swr.Kept | None, *, now: datetime) -> Quote | None:
    if kept is None or abs(now - kept.fetched_at) > BELIEVED_FOR[quantity]:
        return None
    return Quote(value=kept.value["value"], source=kept.value["source"], at=kept.fetched_at)


def refresh_all() -> list[str]:
    """Fetch each quantity now, whoever looks at it, so that the history has no holes; one line for each. Raises MarketUnavailable."""
    lines, failures = [], []
    for quantity in Quantity:
        try:
            kept = swr.refresh(quantity.value, partial(fetch, quantity), seen_at=_seen_at(quantity))
        except MarketUnavailable as error:
            failures.append(str(error))
            continue
        lines.append(
            f"{quantity.value} {kept.value['value']:,.0f} from {kept.value['source']}" if kept else f"{quantity.value} is being fetched"
        )
    if failures:
        raise MarketUnavailable("; ".join(failures))
    return lines


def _seen_at(quantity: Quantity) -> datetime | None:
    return KeptValue.objects.filter(key=quantity.value).values_list("fetched_at", flat=True).first()


def fetch(quantity: Quantity) -> dict[str, float | str]:
    """`value` and `source` from the first provider with a believable answer, kept in the history. Raises MarketUnavailable."""
    last, reasons = _believed(quantity), []
    for provider in PROVIDERS[quantity]:
        if not provider.is_ready():
            continue
        try:
            value = _breaker(f"{provider.name} {quantity.value}").call(_ask, provider, last)
        except CircuitBreakerError:
            reasons.append(f"{provider.name}: left alone for a minute")
        except ProviderFailed as error:
            reasons.append(str(error))
        else:
            _keep(quantity, value, provider.name)
            return {"value": value, "source": provider.name}
    raise MarketUnavailable(f"{quantity.value} unknown: {'; '.join(reasons)}")


def _ask(provider: Provider, last: float | None) -> float:
    try:
        value = provider.ask()
        factor = LARGEST_JUMP[provider.quantity]
        if last is not None and not last / factor <= value <= last * factor:
            raise ProviderFailed(f"{provider.name}: {value:,.0f} is too far from {last:,.0f}")
    except ProviderFailed as error:
        failures.count("market", error.error_type)
        ANSWERS.labels(provider.name, "failed").inc()
        raise
    ANSWERS.labels(provider.name, "believed").inc()
    return value


def _believed(quantity: Quantity) -> float | None:
    newest = MarketSample.objects.filter(quantity=quantity, fetched_at__gte=timezone.now() - BELIEVED_FOR[quantity]).first()
    return newest.value if newest else None


def _keep(quantity: Quantity, value: float, source: str) -> None:
    now = timezone.now()
    if not MarketSample.objects.filter(quantity=quantity, fetched_at__gt=now - SAMPLE_EVERY, fetched_at__lte=now).exists():
        MarketSample.objects.create(quantity=quantity, value=value, source=source, fetched_at=now)


@cache
def _breaker(name: str) -> CircuitBreaker:
    return shared_breaker(name.replace(" ", ":"))


def breakers() -> dict[str, str]:
    """The state of each provider's breaker, "provider:quantity" to closed, half-open or open, as the cache has it."""
    names = [f"{provider.name} {quantity.value}" for quantity, providers in PROVIDERS.items() for provider in providers]
    return {name.replace(" ", ":"): str(_breaker(name).current_state) for name in names}
