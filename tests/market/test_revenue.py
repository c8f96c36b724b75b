"""What a hash rate earns a day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from market.revenue import bitcoin_a_day
from resilience.models import KeptValue
from sites.models import Site
from telemetry.ingest import ingest_readings
from telemetry.models import Source
from tests.makers import make_reading, make_site, make_superuser


def test_network_that_finds_a_block_in_ten_minutes_earns_144_subsidies_a_day() -> None:
    """Difficulty 1 is 2^32 hashes a block, so this rate finds one in 600 s."""
    assert bitcoin_a_day(2**32 / 600 / 1e9, difficulty=1, subsidy_btc=3.125) == pytest.approx(144 * 3.125)


def test_known_calculator_agrees() -> None:
    """100 TH/s at difficulty 100 T and 3.125 BTC: 1e14 × 86,400 ÷ (1e14 × 2^32) × 3.125."""
    assert bitcoin_a_day(100_000, difficulty=100e12, subsidy_btc=3.125) == pytest.approx(6.286e-5, rel=1e-3)


@pytest.fixture
def overview(client: Client, settings):
    """The overview's text; `overview(price_kwh=...)` first makes a site of 1 PH/s and 24 kW with that power price."""
    settings.MARKET_DATA = True
    client.force_login(make_superuser())

    def read(*prices: str | None) -> str:
        for price in prices:
            site: Site = make_site(power_price_kwh=price)
            reading = make_reading("m1", hashrate_ghs=1_000_000.0, power_consumption=24_000.0)
            ingest_readings(site, [reading], source=Source.POLLER, received_at=timezone.now())
        return client.get(reverse("console:overview")).content.decode().replace("\N{NO-BREAK SPACE}", " ")

    return read


def known(**values: float) -> None:
    for key, value in values.items():
        kept = {"value": {"value": value, "source": "coingecko"}, "fetched_at": timezone.now() - timedelta(seconds=5)}
        KeptValue.objects.update_or_create(key=key, defaults=kept)


@pytest.mark.django_db
def test_overview_sets_revenue_against_the_cost_of_power(overview) -> None:
    known(btc_price=100_000.0, btc_difficulty=100e12)
    html = overview("0.05")
    assert "63 USD" in html  # 1 PH/s: 0.000629 BTC
    assert "29 USD a day" in html  # 24 kW × 24 h × 0.05
    assert "34 USD" in html


@pytest.mark.django_db
def test_site_without_a_power_price_leaves_the_margin_unknown(overview) -> None:
    known(btc_price=100_000.0, btc_difficulty=100e12)
    html = overview("0.05", None)
    assert "1 site without a power price" in html
    assert "Left over" not in html


@pytest.mark.django_db
def test_revenue_is_unknown_while_market_data_is_off(overview, settings) -> None:
    settings.MARKET_DATA = False
    known(btc_price=100_000.0, btc_difficulty=100e12)
    html = overview("0.05")
    assert "Market data is off" in html
    assert "unknown" in html
    assert "63 USD" not in html
