from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.market.exchange import Exchange


@pytest.fixture
def exchange(settings) -> Iterator[Exchange]:
    """All providers at one address of this machine, with market data switched on."""
    with Exchange() as exchange:
        settings.MARKET_DATA = True
        settings.COINGECKO_URL = settings.COINWARZ_URL = settings.BLOCKCHAIN_INFO_URL = settings.MEMPOOL_SPACE_URL = exchange.url
        settings.COINGECKO_API_KEY = settings.COINWARZ_API_KEY = ""
        yield exchange
