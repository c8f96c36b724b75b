"""Who is asked for a value, how, and what a believable answer looks like. One request, bounded in time and size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import Retry

from market.models import Quantity
from resilience.failures import ErrorClass

ATTEMPT_S = 3.0
DEADLINE_S = 10.0
LARGEST_ANSWER = 1_000_000
BELIEVABLE = {Quantity.PRICE: (100.0, 100_000_000.0), Quantity.DIFFICULTY: (1.0, 1e21)}
"""USD; the difficulty of the first block to thousands of times today's."""


class ProviderFailed(Exception):
    """No usable answer: what went wrong, in one line without the address, which may hold a key, and its class."""

    def __init__(self, message: str, error_type: ErrorClass = ErrorClass.PARSE) -> None:
        super().__init__(message)
        self.error_type = error_type


class _Retry(Retry):
    """A name that does not resolve is not asked for again."""

    def increment(self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, *others: Any, **named: Any) -> Self:
        if isinstance(error, NameResolutionError):
            raise error
        return super().increment(method, url, response, error, *others, **named)


RETRIES = _Retry(
    total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), raise_on_status=False, respect_retry_after_header=False
)
REFUSALS = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One place to ask for one quantity. `read` finds the number in its JSON; a LookupError, TypeError or ValueError is no answer."""

    name: str
    quantity: Quantity
    url: Callable[[], str]
    read: Callable[[Any], object]
    parameters: Callable[[], Mapping[str, str]] = dict
    headers: Callable[[], Mapping[str, str]] = dict
    is_ready: Callable[[], bool] = lambda: True

    def ask(self) -> float:
        """The value, checked. Raises ProviderFailed."""
        body = _get(self.url(), parameters=self.parameters(), headers=self.headers())
        try:
            number = self.read(json.loads(body))
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise ProviderFailed(f"{self.name}: not the expected answer ({type(error).__name__}): {body[:60]!r}") from None
        return self._believable(number)

    def _believable(self, number: object) -> float:
        low, high = BELIEVABLE[self.quantity]
        if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
            raise ProviderFailed(f"{self.name}: {number!r:.40} is no {self.quantity.value}")
        return float(number)


def _get(url: str, *, parameters: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    deadline = time.monotonic() + DEADLINE_S
    host = urlsplit(url).hostname
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=RETRIES))
        try:
            sent = {"User-Agent": "HashInsight", "Accept": "application/json, text/plain", **headers}
            with session.get(url, params=parameters, headers=sent, timeout=ATTEMPT_S, stream=True, allow_redirects=False) as response:
                if response.status_code != 200:
                    refused = ErrorClass.AUTH if response.status_code in REFUSALS else ErrorClass.CONNECTION
                    raise ProviderFailed(f"{host} answers {response.status_code}", refused)
                return _read(response.raw, deadline=deadline)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise ProviderFailed(f"{host}: {_reason(error)}", _class_of(error)) from None


def _read(raw: BaseHTTPResponse, *, deadline: float) -> bytes:
    """The body as it comes in: a server that drips bytes resets the socket's timeout with each, but not the deadline."""
    body = bytearray()
    while piece := raw.read1(65_536, decode_content=True):
        body += piece
        if len(body) > LARGEST_ANSWER or time.monotonic() > deadline:
            raise ProviderFailed(f"the answer does not end within {DEADLINE_S:g} s or {LARGEST_ANSWER:,} bytes", ErrorClass.TIMEOUT)
    return bytes(body)


def _reason(error: Exception) -> str:
    """The kind of failure; the texts of requests repeat the whole address."""
    return type(error).__name__


def _class_of(error: BaseException | None) -> ErrorClass:
    """By the innermost reason: requests wraps urllib3's errors, which wrap the socket's."""
    found, kinds = error, []
    while found is not None:
        kinds.append(found)
        inner = getattr(found, "reason", None) or next((each for each in found.args if isinstance(each, BaseException)), None)
        found = inner if isinstance(inner, BaseException) else None
    if any(isinstance(each, NameResolutionError) for each in kinds):
        return ErrorClass.DNS
    if any(isinstance(each, NewConnectionError) for each in kinds):  # refused or unreachable; urllib3 makes it a kind of timeout
        return ErrorClass.CONNECTION
    if any(isinstance(each, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError) for each in kinds):
        return ErrorClass.TIMEOUT
    return ErrorClass.CONNECTION


def _coinwarz_price(answer: Any) -> object:
    """The first exchange that has a rate."""
    return next(rate["ToUSD"] for rate in _coinwarz(answer)["ExchangeRates"] if rate["ToUSD"])


def _coinwarz(answer: Any) -> Any:
    if answer["Success"] is not True:
        raise ValueError
    return answer["Data"]


def _coinwarz_parameters() -> Mapping[str, str]:
    return {"apikey": settings.COINWARZ_API_KEY, "cointag": "BTC"}


def _coingecko_headers() -> Mapping[str, str]:
    return {"x-cg-demo-api-key": settings.COINGECKO_API_KEY} if settings.COINGECKO_API_KEY else {}


# Sources: the providers' own API pages, docs.coingecko.com (simple/price), coinwarz.com/v1/api/documentation (coininformation),
# blockchain.com/explorer/api/q (getdifficulty: a bare number), mempool.space/docs/api/rest (mining/hashrate).
PROVIDERS = {
    Quantity.PRICE: (
        Provider(
            name="coingecko",
            quantity=Quantity.PRICE,
            url=lambda: f"{settings.COINGECKO_URL}/simple/price",
            parameters=lambda: {"ids": "bitcoin", "vs_currencies": "usd"},
            headers=_coingecko_headers,
            read=lambda answer: answer["bitcoin"]["usd"],
        ),
        Provider(
            name="coinwarz",
            quantity=Quantity.PRICE,
            url=lambda: f"{settings.COINWARZ_URL}/coininformation/",
            parameters=_coinwarz_parameters,
            read=_coinwarz_price,
            is_ready=lambda: bool(settings.COINWARZ_API_KEY),
        ),
    ),
    Quantity.DIFFICULTY: (
        Provider(
            name="blockchain.info",
            quantity=Quantity.DIFFICULTY,
            url=lambda: f"{settings.BLOCKCHAIN_INFO_URL}/q/getdifficulty",
            read=lambda answer: answer,
        ),
        Provider(
            name="mempool.space",
            quantity=Quantity.DIFFICULTY,
            url=lambda: f"{settings.MEMPOOL_SPACE_URL}/api/v1/mining/hashrate/3d",
            read=lambda answer: answer["currentDifficulty"],
        ),
        Provider(
            name="coinwarz",
            quantity=Quantity.DIFFICULTY,
            url=lambda: f"{settings.COINWARZ_URL}/coininformation/",
            parameters=_coinwarz_parameters,
            read=lambda answer: _coinwarz(answer)["Difficulty"],
            is_ready=lambda: bool(settings.COINWARZ_API_KEY),
        ),
    ),
}
