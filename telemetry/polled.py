"""One miner's turn in a poll round, as a reading."""

from __future__ import annotations

from cgminer.poll import Outcome
from cgminer.snapshot import Board as MinerBoard
from cgminer.snapshot import Pool as MinerPool
from cgminer.snapshot import Snapshot
from telemetry.readings import Board, Pool, Reading

UNREADABLE = frozenset({"parse", "unsupported"})
"""Errors of a miner that is there and answers, only not in a way that can be read: the point is skipped, the miner is not offline."""

_MOST_BOARDS, _MOST_CHIPS, _MOST_FANS = 10, 100, 20  # the wire's limits


def reading_of(outcome: Outcome, *, miner_id: str) -> Reading | None:
    """The outcome as a reading at the server's time, never the miner's.

    None when the miner answered something unreadable, or when the round ended before it had its time: neither makes it offline.
    """
    if outcome.snapshot is not None:
        return _online(outcome, outcome.snapshot, miner_id)
    error = outcome.error
    if error is None or outcome.cut_off or error.error_type in UNREADABLE:
        return None
    return Reading(miner_id=miner_id, timestamp=outcome.finished_at, online=False, error_type=error.error_type, error_message=str(error))


def _online(outcome: Outcome, snapshot: Snapshot, miner_id: str) -> Reading:
    pool = snapshot.pool_in_use
    return Reading(
        miner_id=miner_id,
        timestamp=outcome.finished_at,
        mining_state=snapshot.mining_state,  # a StrEnum is a str; asking for its value takes ten times as long
        hashrate_ghs=snapshot.hashrate_ghs,
        hashrate_5s_ghs=snapshot.hashrate_5s_ghs,
        hashrate_expected_ghs=snapshot.hashrate_expected_ghs,
        temperature_avg=snapshot.temperature_avg,
        temperature_min=snapshot.temperature_min,
        temperature_max=snapshot.temperature_max,
        temperature_chips=list(snapshot.temperature_chips[:_MOST_CHIPS]) or None,
        fan_speeds=list(snapshot.fan_speeds[:_MOST_FANS]) or None,
        frequency_avg=snapshot.frequency_avg,
        accepted_shares=snapshot.accepted_shares,
        rejected_shares=snapshot.rejected_shares,
        hardware_errors=snapshot.hardware_errors,
        uptime_seconds=snapshot.uptime_seconds,
        power_consumption=snapshot.power_consumption,
        efficiency=snapshot.efficiency,
        pool_url=pool.url if pool else None,
        worker_name=pool.user if pool else None,
        latency_ms=outcome.latency_ms,
        boards=[_board(board) for board in snapshot.boards[:_MOST_BOARDS]] or None,
        boards_total=snapshot.boards_total,
        boards_healthy=snapshot.boards_healthy,
        pools=[_pool(each) for each in snapshot.pools] or None,
        error_codes=list(snapshot.error_codes) or None,
        model=snapshot.model,
        firmware_version=snapshot.firmware_version,
    )


def _board(board: MinerBoard) -> Board:
    hottest, pcb = board.temperature_chip, board.temperature
    if hottest is None or (pcb is not None and pcb > hottest):
        hottest = pcb
    return Board(id=board.id, hashrate=board.hashrate_ghs, temp=hottest, chips_ok=board.chips_ok, chips_total=board.chips_total)


def _pool(pool: MinerPool) -> Pool:
    return Pool(
        url=pool.url,
        user=pool.user,
        status=pool.status,
        active=pool.active,
        accepted=pool.accepted_shares,
        rejected=pool.rejected_shares,
    )
