"""Each class of failure is told apart at a real peer, is tried again or not as its table says, is logged and is counted."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from cgminer import errors
from market import quotes
from market.models import Quantity
from market.quotes import MarketUnavailable
from resilience.failures import ErrorClass
from tests.market.exchange import PRICE, Exchange
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)
TRIED_AGAIN = {ErrorClass.TIMEOUT, ErrorClass.CONNECTION}


def counted(peer: str, error_class: str) -> float:
    return REGISTRY.get_sample_value("failures_total", {"peer": peer, "error_class": error_class}) or 0


def test_miners_errors_have_the_same_classes_and_the_same_retries():
    tree = [errors.MinerTimeout, errors.MinerConnectionError, errors.MinerNameError, errors.MinerReplyError, errors.MinerAccessDenied]

    assert {each.error_type: each.worth_retrying for each in tree} == {each: each in TRIED_AGAIN for each in ErrorClass}


@pytest.fixture
def market(settings):
    with Exchange() as exchange:
        settings.MARKET_DATA, settings.COINGECKO_API_KEY, settings.COINWARZ_API_KEY = True, "", ""
        settings.COINGECKO_URL = exchange.url
        quotes._breaker.cache_clear()
        yield exchange


@pytest.mark.parametrize(
    ("answer", "error_class", "asked"),
    [(503, "connection", 3), ("<html>", "parse", 1), ('{"bitcoin":{"usd":0}}', "parse", 1), (401, "auth", 1), (429, "auth", 1)],
)
def test_answer_of_a_provider_is_classed_counted_and_logged(market, answer, error_class, asked):
    market.answers[PRICE] = answer
    logs = failed_fetch(error_class)

    assert market.asked_for(PRICE) == asked
    assert [(line["error_type"], line["breaker"]) for line in logs if line["event"] == "call_failed"] == [
        (error_class, "coingecko:btc_price")
    ]


def failed_fetch(error_class):
    before = counted("market", error_class)
    with capture_logs() as logs, pytest.raises(MarketUnavailable):
        quotes.fetch(Quantity.PRICE)
    assert counted("market", error_class) == before + 1
    return logs


def test_provider_that_never_answers_is_a_timeout(market, monkeypatch):
    monkeypatch.setattr("market.providers.ATTEMPT_S", 0.1)
    market.answers[PRICE] = "hang"
    failed_fetch("timeout")

    assert market.asked_for(PRICE) == 3


def test_refused_connection_is_a_connection_error(market, settings):
    settings.COINGECKO_URL = f"http://127.0.0.1:{free_port()}"
    failed_fetch("connection")


def test_name_that_does_not_resolve_is_asked_for_once(market, settings, monkeypatch):
    asked = []
    resolve = socket.getaddrinfo

    def look_up(host, *others, **named):
        if host == "provider.invalid":
            asked.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    settings.COINGECKO_URL = "http://provider.invalid"
    failed_fetch("dns")

    assert len(asked) == 1
