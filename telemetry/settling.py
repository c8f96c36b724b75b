"""What makes a typed record the reading it means: names, times, aliases, zeros that mean "unknown", counts that pose as readings.

Rule by rule over a whole upload: most rules concern few of its records or none, and to find those takes a fraction of the time that
asking each record for everything takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import structs

from telemetry.readings import Pool
from telemetry.records import COLDEST, COUNTS_BELOW, FASTEST_FAN_RPM, HOTTEST, UNSTAMPED, Record, RecordRefused

EARLIEST_YEAR = 2009
"""The first Bitcoin block: nothing was mined before it, so an older time is a clock that was never set."""
WARM = 20.0
"""From this chip temperature on, a lone value under 10 in the same list is the number of chips, not a temperature."""

AT_ONCE = 250
"""So many records fit into a processor's cache."""

HEALTH = frozenset({"healthy", "degraded", "critical", "offline", "unknown"})
WARNING = "warning"
"""What the first collectors call a degraded miner."""
MINING_STATES = frozenset({"mining", "sleeping", "overheated", "fault", "unknown"})
MOST_POOLS, MOST_ERROR_CODES, LONGEST_CODE = 20, 100, 100
LONGEST_POOL_URL, LONGEST_POOL_TEXT = 255, 100
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def settle(records: Sequence[Record], *, sent_at: datetime) -> dict[int, RecordRefused]:
    """Make each of `records` the reading it means; `sent_at` (aware) is the time of those that have none.

    Returns the ones that are none, by their position.
    """
    refused: dict[int, RecordRefused] = {}
    for start in range(0, len(records), AT_ONCE):
        some = records[start : start + AT_ONCE]
        for settle_all in (_settle_identities, _settle_times):
            for position, reason in settle_all(some, sent_at):
                refused.setdefault(start + position, reason)
        for concerns, rule in _RULES:
            for record in filter(concerns, some):
                rule(record)
    return refused


def _settle_identities(records: Sequence[Record], sent_at: datetime) -> Iterable[tuple[int, RecordRefused]]:
    names = [record.miner_id for record in records]
    if all(names) and "".join(names).isprintable() and list(map(str.strip, names)) == names:
        return
    for position, record in enumerate(records):
        try:
            _settle_identity(record)
        except RecordRefused as refusal:
            yield position, refusal


def _settle_identity(record: Record) -> None:
    miner_id = record.miner_id or record.worker_id
    if not miner_id or not (miner_id := miner_id.strip()):
        raise RecordRefused("miner_id", "is missing")
    if not miner_id.isprintable() and CONTROL_CHARACTERS.search(miner_id):
        raise RecordRefused("miner_id", "contains control characters")
    record.miner_id = miner_id


def _settle_times(records: Sequence[Record], sent_at: datetime) -> Iterable[tuple[int, RecordRefused]]:
    """The records of one round mostly share their time, which is looked at once then."""
    said = settled = datetime.min
    refusal: RecordRefused | None = None
    for position, record in enumerate(records):
        moment = record.timestamp
        if moment != said:
            said, refusal = moment, None
            try:
                settled = _settled_time(moment, sent_at)
            except RecordRefused as reason:
                settled, refusal = moment, reason
        record.timestamp = settled
        if refusal:
            yield position, refusal


def _settled_time(moment: datetime, sent_at: datetime) -> datetime:
    if moment is UNSTAMPED:
        moment = sent_at
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    else:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise RecordRefused("timestamp", "is out of range") from None
    if moment.year < EARLIEST_YEAR:
        raise RecordRefused("timestamp", f"is before {EARLIEST_YEAR}")
    return moment


def _has_aliases(record: Record) -> bool:
    return record.hashrate_rt is not None or record.temperature is not None


def _settle_aliases(record: Record) -> None:
    if record.hashrate_rt is not None and record.hashrate_ghs is None:
        record.hashrate_ghs = record.hashrate_rt * 1000
    if record.temperature is not None:
        if record.temperature_max is None:
            record.temperature_max = record.temperature
        if record.temperature_avg is None:
            record.temperature_avg = record.temperature


def _has_unknown_words(record: Record) -> bool:
    health, state = record.overall_health, record.mining_state
    return (health is not None and health not in HEALTH) or (state is not None and state not in MINING_STATES)


def _forget_unknown_words(record: Record) -> None:
    if record.overall_health not in HEALTH:
        record.overall_health = "degraded" if record.overall_health == WARNING else None
    if record.mining_state not in MINING_STATES:
        record.mining_state = None


def _counts_no_boards(record: Record) -> bool:
    return record.boards_total == 0


def _forget_no_boards(record: Record) -> None:
    """The first collectors count 0 boards where they can't see any, and call the miner offline for it, however well it hashes."""
    record.boards_total = record.boards_healthy = None
    if record.overall_health == "offline" and record.online:
        record.overall_health = None


def _lists_more_than_is_asked(record: Record) -> bool:
    pools, codes = record.pools, record.error_codes
    if pools:
        if len(pools) > MOST_POOLS:
            return True
        for pool in pools:  # a loop, for there are three in each of thousands of records
            if len(pool.url) > LONGEST_POOL_URL or len(pool.user or "") > LONGEST_POOL_TEXT or len(pool.status or "") > LONGEST_POOL_TEXT:
                return True
    return codes is not None and (len(codes) > MOST_ERROR_CODES or any(len(code) > LONGEST_CODE for code in codes))


def _cut_what_is_not_asked(record: Record) -> None:
    """The contract knows neither, so they cost no record; but they are kept as they come, so they are kept short."""
    if record.pools is not None:
        record.pools = [_short(pool) for pool in record.pools[:MOST_POOLS]]
    if record.error_codes is not None:
        record.error_codes = [code[:LONGEST_CODE] for code in record.error_codes[:MOST_ERROR_CODES]]


def _short(pool: Pool) -> Pool:
    user, status = (text and text[:LONGEST_POOL_TEXT] for text in (pool.user, pool.status))
    return structs.replace(pool, url=pool.url[:LONGEST_POOL_URL], user=user, status=status)


def _has_zeros(record: Record) -> bool:
    return not (
        record.frequency_avg and record.power_consumption and record.efficiency and record.temperature_max and record.uptime_seconds
    )


def _forget_unknown_zeros(record: Record) -> None:
    """Zeros that only ever mean "not known to this agent": over TCP agents send no other power and efficiency, asleep or not."""
    if not record.frequency_avg:
        record.frequency_avg = None
    if not record.power_consumption:
        record.power_consumption = None
    if not record.efficiency:
        record.efficiency = None
    if record.temperature_max == 0 and not record.temperature_avg and not record.temperature_min:
        record.temperature_max = record.temperature_avg = record.temperature_min = None
    if record.uptime_seconds == 0 and (record.accepted_shares or record.hashrate_ghs):
        record.uptime_seconds = None


def _has_doubtful_fans(record: Record) -> bool:
    return "fan_speeds" in record.doubtful and bool(record.fan_speeds)


def _settle_fans(record: Record) -> None:
    """Drop the number of fans that stands among their speeds (no fan turns at 1 to 9 rpm) and what no fan can turn at."""
    fans = record.fan_speeds or []
    if min(fans) < COUNTS_BELOW or max(fans) > FASTEST_FAN_RPM:
        record.fan_speeds = [rpm for rpm in fans if rpm == 0 or COUNTS_BELOW <= rpm <= FASTEST_FAN_RPM]


def _has_doubtful_chips(record: Record) -> bool:
    return "temperature_chips" in record.doubtful and bool(record.temperature_chips)


def _settle_chips(record: Record) -> None:
    """Drop the number of chips that stands among their temperatures, and correct the figures the agent computed with it."""
    reported = record.temperature_chips or []
    if min(reported) >= COUNTS_BELOW and max(reported) <= HOTTEST:
        return
    chips = _chip_temperatures(reported)
    if len(chips) == len(reported):
        return
    record.temperature_chips = chips
    if record.temperature_avg is not None and abs(record.temperature_avg - sum(reported) / len(reported)) < 0.01:
        record.temperature_avg = sum(chips) / len(chips) if chips else None
    if record.temperature_max == max(reported):
        record.temperature_max = max(chips, default=None)
    if record.temperature_min == min(reported):
        record.temperature_min = min(chips, default=None)


def _chip_temperatures(reported: Sequence[float]) -> list[float]:
    """A reading of 0 to 9 beside warm chips, or alone, is a count or an absent sensor; cold chips among cold ones are real."""
    possible = [chip for chip in reported if COLDEST <= chip <= HOTTEST]
    if not possible or (max(possible) < WARM and len(possible) > 1 and any(possible)):
        return possible
    return [chip for chip in possible if not 0 <= chip < COUNTS_BELOW]


_RULES: Sequence[tuple[Callable[[Record], bool], Callable[[Record], None]]] = (
    (_has_aliases, _settle_aliases),
    (_has_unknown_words, _forget_unknown_words),
    (_counts_no_boards, _forget_no_boards),
    (_lists_more_than_is_asked, _cut_what_is_not_asked),
    (_has_zeros, _forget_unknown_zeros),
    (_has_doubtful_fans, _settle_fans),
    (_has_doubtful_chips, _settle_chips),
)
"""Whether a rule concerns a record, and the rule. In this order: an alias may bring a zero."""
