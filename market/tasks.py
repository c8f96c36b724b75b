"""What the cluster runs for market data."""

from __future__ import annotations

from django.conf import settings

from market import quotes
from resilience.leases import leased_job

JOB_S = 300
"""Longer than the cluster lets a task run."""


@leased_job("market", ttl_s=JOB_S)
def refresh() -> str:
    """Every five minutes: the price and the difficulty, where market data is on."""
    return "; ".join(quotes.refresh_all()) if settings.MARKET_DATA else "off: HASHINSIGHT_MARKET_DATA is not set"
