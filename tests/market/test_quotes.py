"""Price and difficulty as the product knows them: from whoever answers, never a wrong one, and kept over time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from market import quotes
from market.models import MarketSample, Quantity
from market.quotes import MarketUnavailable, btc_difficulty, btc_price
from resilience import swr
from resilience.models import JobLease, KeptValue
from tests.makers import make_site, make_superuser
from tests.market.exchange import COINWARZ, DIFFICULTY, MEMPOOL, PRICE
from tests.market.test_providers import COINGECKO_ANSWER, COINWARZ_ANSWER, DIFFICULTY_ANSWER, MEMPOOL_ANSWER
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answering(exchange):
    exchange.answers = {PRICE: COINGECKO_ANSWER, DIFFICULTY: DIFFICULTY_ANSWER, MEMPOOL: MEMPOOL_ANSWER, COINWARZ: COINWARZ_ANSWER}
    yield exchange
    wait_until(lambda: not swr._in_flight, timeout_s=20, what="refreshers have ended")


def known(quantity, value, *, age=timedelta(0)):
    at = timezone.now() - age
    KeptValue.objects.update_or_create(key=quantity, defaults={"value": {"value": value, "source": "coingecko"}, "fetched_at": at})


def test_nobody_outside_is_asked_while_market_data_is_off(answering, settings):
    settings.MARKET_DATA = False
    from market.tasks import refresh

    assert (btc_price(now=timezone.now()), btc_difficulty(now=timezone.now())) == (None, None)
    assert "HASHINSIGHT_MARKET_DATA" in refresh()
    assert answering.asked == []


def test_value_is_known_with_its_source_and_age_after_a_refresh(answering):
    quotes.refresh_all()
    price, difficulty = btc_price(now=timezone.now()), btc_difficulty(now=timezone.now())

    assert (price.value, price.source) == (67187.3358936566, "coingecko")
    assert (difficulty.value, difficulty.source) == (110451907374649.27, "blockchain.info")
    assert timezone.now() - price.at < timedelta(minutes=1)


def test_next_provider_is_asked_when_one_fails(answering, settings):
    settings.COINWARZ_API_KEY = "key"
    answering.answers.update({PRICE: "<html>", DIFFICULTY: 500})

    assert quotes.fetch(Quantity.PRICE)["source"] == "coinwarz"
    assert quotes.fetch(Quantity.DIFFICULTY)["source"] == "mempool.space"


def test_coinwarz_is_not_asked_without_a_key(answering):
    answering.answers[PRICE] = "<html>"
    with pytest.raises(MarketUnavailable, match="coingecko: not the expected answer"):
        quotes.fetch(Quantity.PRICE)

    assert answering.asked_for(COINWARZ) == 0


def test_price_that_jumps_is_not_believed_beside_a_recent_one(answering):
    MarketSample.objects.create(quantity=Quantity.PRICE, value=67_000, source="coingecko", fetched_at=timezone.now())
    answering.answers[PRICE] = '{"bitcoin":{"usd":6718.73}}'
    with pytest.raises(MarketUnavailable, match="too far from"):
        quotes.fetch(Quantity.PRICE)
    MarketSample.objects.update(fetched_at=timezone.now() - timedelta(hours=2))

    assert quotes.fetch(Quantity.PRICE)["value"] == 6718.73


def test_old_value_is_shown_with_its_age_and_a_too_old_one_is_unknown(answering):
    answering.answers = {}
    known(Quantity.PRICE, 67_000.0, age=timedelta(minutes=50))
    known(Quantity.DIFFICULTY, 1e14, age=timedelta(hours=25))

    assert btc_price(now=timezone.now()).value == 67_000
    assert btc_difficulty(now=timezone.now()) is None


def test_five_failures_leave_a_provider_alone_and_a_minute_later_it_is_asked_once(answering, monkeypatch):
    answering.answers[PRICE] = 403
    for _ in range(8):
        with pytest.raises(MarketUnavailable):
            quotes.fetch(Quantity.PRICE)
    assert answering.asked_for(PRICE) == 5
    assert quotes.breakers()["coingecko:btc_price"] == "open"

    monkeypatch.setattr(quotes._breaker("coingecko btc_price"), "_reset_timeout", 0.0)
    answering.answers[PRICE] = COINGECKO_ANSWER
    assert quotes.fetch(Quantity.PRICE)["source"] == "coingecko"
    assert quotes.breakers()["coingecko:btc_price"] == "closed"


def test_history_keeps_one_value_in_five_minutes(answering):
    for _ in range(3):
        quotes.fetch(Quantity.PRICE)
    assert MarketSample.objects.filter(quantity=Quantity.PRICE).count() == 1
    MarketSample.objects.update(fetched_at=timezone.now() - timedelta(minutes=6))
    quotes.fetch(Quantity.PRICE)

    assert MarketSample.objects.filter(quantity=Quantity.PRICE).count() == 2


def test_job_fails_visibly_for_one_quantity_and_fetches_the_other(answering):
    from market.tasks import refresh

    answering.answers[PRICE] = 403
    with pytest.raises(MarketUnavailable):
        refresh()

    assert "127.0.0.1 answers 403" in JobLease.objects.get(name="market").error
    assert btc_difficulty(now=timezone.now()).source == "blockchain.info"


def test_overview_shows_value_source_and_age_or_unknown(answering):
    make_site("north")
    client = Client()
    client.force_login(make_superuser())
    answering.answers[DIFFICULTY] = answering.answers[MEMPOOL] = 403
    client.get("/admin/")
    wait_until(lambda: not swr._in_flight, timeout_s=20, what="the values were fetched")
    page = client.get("/admin/").content.decode()

    assert "67,187 USD" in page
    assert "coingecko, <time" in page
    assert ">just now</time>" in page
    assert "Difficulty: unknown" in " ".join(page.split())


def test_overview_says_that_market_data_is_off_and_asks_nobody(answering, settings):
    settings.MARKET_DATA = False
    make_site("north")
    client = Client()
    client.force_login(make_superuser())

    assert "Market data is off: this server asks nobody outside." in client.get("/admin/").content.decode()
    assert answering.asked == []


def test_metrics_have_value_age_and_breakers(answering):
    quotes.refresh_all()
    text = Client().get("/metrics").content.decode()

    assert 'market_btc_price_usd{source="coingecko"} 67187.3' in text
    assert 'market_breaker_state{provider="mempool.space:btc_difficulty"} 0.0' in text
