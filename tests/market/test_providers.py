"""Answers of the providers in their real shapes, and everything that must not be taken for a price."""

from __future__ import annotations

import json
import time

import pytest

from market import providers
from market.models import Quantity
from market.providers import PROVIDERS, ProviderFailed
from tests.market.exchange import COINWARZ, DIFFICULTY, MEMPOOL, PRICE

COINGECKO_ANSWER = '{"bitcoin":{"usd":67187.3358936566}}'
DIFFICULTY_ANSWER = "110451907374649.27"
MEMPOOL_ANSWER = json.dumps(
    {
        "hashrates": [{"timestamp": 1652486400, "avgHashrate": 236697843711886500000}],
        "difficulty": [{"time": 1652468330, "height": 736249, "difficulty": 31251101365711.12, "adjustment": 1.04887}],
        "currentHashrate": 252529386155406950000,
        "currentDifficulty": 31251101365711.12,
    }
)
COINWARZ_ANSWER = json.dumps(
    {
        "Success": True,
        "Message": "",
        "Data": {
            "CoinName": "Bitcoin",
            "CoinTag": "BTC",
            "BlockCount": 870000,
            "Difficulty": 101646843652785.42,
            "BlockReward": 3.125,
            "BlockTimeInSeconds": 600,
            "HealthStatus": "Healthy",
            "ExchangeRates": [
                {"Exchange": "closed", "ToUSD": 0, "ToBTC": 1, "Volume": 0},
                {"Exchange": "open", "ToUSD": 91234.5, "ToBTC": 1, "Volume": 812.4},
            ],
        },
    }
)


def provider(name, quantity=Quantity.PRICE):
    return next(each for each in PROVIDERS[quantity] if each.name == name)


@pytest.mark.parametrize(
    ("name", "quantity", "path", "answer", "value"),
    [
        ("coingecko", Quantity.PRICE, PRICE, COINGECKO_ANSWER, 67187.3358936566),
        ("coinwarz", Quantity.PRICE, COINWARZ, COINWARZ_ANSWER, 91234.5),
        ("blockchain.info", Quantity.DIFFICULTY, DIFFICULTY, DIFFICULTY_ANSWER, 110451907374649.27),
        ("blockchain.info", Quantity.DIFFICULTY, DIFFICULTY, "1.1045190737464927E14", 110451907374649.27),
        ("mempool.space", Quantity.DIFFICULTY, MEMPOOL, MEMPOOL_ANSWER, 31251101365711.12),
        ("coinwarz", Quantity.DIFFICULTY, COINWARZ, COINWARZ_ANSWER, 101646843652785.42),
    ],
)
def test_answer_of_each_provider_is_read(exchange, name, quantity, path, answer, value):
    exchange.answers[path] = answer

    assert provider(name, quantity).ask() == value


@pytest.mark.parametrize(
    "lie",
    [
        "<html><body>Just a moment...</body></html>",
        "",
        "null",
        "[]",
        "67000",
        '{"bitcoin":{}}',
        '{"bitcoin":{"usd":null}}',
        '{"bitcoin":{"usd":"67187.33"}}',
        '{"bitcoin":{"usd":true}}',
        '{"bitcoin":{"usd":0}}',
        '{"bitcoin":{"usd":-5}}',
        '{"bitcoin":{"usd":NaN}}',
        '{"bitcoin":{"usd":1e400}}',
        '{"bitcoin":{"usd":' + "9" * 400 + "}}",
        '{"bitcoin":{"usd":0.00001}}',
        '{"bitcoin":{"usd":67187.33}',
        "[" * 100_000,
        '{"status":{"error_code":429,"error_message":"rate limit"}}',
        429,
        403,
        302,
        500,
    ],
)
def test_what_is_no_price_is_refused(exchange, lie):
    exchange.answers[PRICE] = lie

    with pytest.raises(ProviderFailed):
        provider("coingecko").ask()


@pytest.mark.parametrize(
    "answer", ['{"Success":false,"Message":"Invalid API key","Data":null}', '{"Success":"true","Data":{"ExchangeRates":[]}}']
)
def test_coinwarz_that_says_no_is_refused(exchange, answer):
    exchange.answers[COINWARZ] = answer

    with pytest.raises(ProviderFailed, match="coinwarz"):
        provider("coinwarz").ask()


def test_server_error_is_asked_three_times_and_a_refusal_once(exchange):
    exchange.answers = {PRICE: 503, DIFFICULTY: 429}
    with pytest.raises(ProviderFailed, match="503"):
        provider("coingecko").ask()
    with pytest.raises(ProviderFailed, match="429"):
        provider("blockchain.info", Quantity.DIFFICULTY).ask()

    assert (exchange.asked_for(PRICE), exchange.asked_for(DIFFICULTY)) == (3, 1)


@pytest.mark.once
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_provider_that_hangs_or_drips_is_left_within_ten_seconds(exchange, fault):
    exchange.answers[PRICE] = fault
    started = time.monotonic()
    with pytest.raises(ProviderFailed):
        provider("coingecko").ask()

    assert time.monotonic() - started < providers.DEADLINE_S + 0.5


def test_answer_without_end_is_cut(exchange):
    exchange.answers[PRICE] = " " * (providers.LARGEST_ANSWER + 1)

    with pytest.raises(ProviderFailed, match="1,000,000 bytes"):
        provider("coingecko").ask()


def test_keys_go_to_their_provider_and_into_no_message(exchange, settings):
    settings.COINGECKO_API_KEY, settings.COINWARZ_API_KEY = "secret-one", "secret-two"
    messages = []
    for name in ("coingecko", "coinwarz"):
        with pytest.raises(ProviderFailed) as failure:
            provider(name).ask()
        messages.append(str(failure.value))
    settings.COINWARZ_URL = "http://127.0.0.1:1"
    with pytest.raises(ProviderFailed) as failure:
        provider("coinwarz").ask()

    assert exchange.asked[0][1]["x-cg-demo-api-key"] == "secret-one"
    assert "apikey=secret-two" in exchange.asked[1][0]
    assert "secret" not in "".join([*messages, str(failure.value)])
