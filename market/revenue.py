"""What a hash rate earns: the share of the network's hashes, times the blocks of a day, times what a block pays.

A block takes difficulty × 2^32 hashes on average (Bitcoin's definition of difficulty: 1 is a target of 2^224). Fees are left out: they
vary by the hour and add a few percent.
"""

from __future__ import annotations

DAY_S = 86_400
HASHES_A_BLOCK = 2**32


def bitcoin_a_day(hashrate_ghs: float, *, difficulty: float, subsidy_btc: float) -> float:
    """BTC a day on average, before a pool's fee."""
    blocks = hashrate_ghs * 1e9 * DAY_S / (difficulty * HASHES_A_BLOCK)
    return blocks * subsidy_btc
