"""Antminer, new API (2021 and later): lower-case keys, `STATUS` an object, a list of fans and one of chains."""

from __future__ import annotations

from cgminer import plausible
from cgminer.parsers import rates
from cgminer.parsers.antminer_slots import chip_states, in_ghs
from cgminer.parsers.basics import total
from cgminer.parsers.sections import Fields, Replies, Row, fill, first, keep, message, pick, rows
from cgminer.snapshot import Board, MiningState

_MAX_CHAINS = 16


def read_new_api(replies: Replies, main: Row, fields: Fields) -> None:
    summary = first(replies.get("summary"), "SUMMARY")
    unit = rates.unit_factor(main.get("rate_unit") or summary.get("rate_unit")) or 1.0

    def rate_of(*values: object) -> float | None:
        found = next((rate for value in values if (rate := plausible.rate(value)) is not None), None)
        return in_ghs(found, unit, unit >= 1)

    keep(
        fields,
        hashrate_ghs=rate_of(main.get("rate_avg"), summary.get("rate_avg")),
        hashrate_5s_ghs=rate_of(main.get("rate_5s"), main.get("hashrate"), summary.get("rate_5s")),
        hashrate_expected_ghs=rate_of(main.get("rate_ideal"), summary.get("rate_ideal")) or None,
        power_consumption=plausible.watts(pick(main, ("watt", "power"))),
        fan_speeds=tuple(speed for value in _list(main.get("fan")) if (speed := plausible.rpm(value)) is not None),
    )
    fill(fields, uptime_seconds=plausible.uptime(main.get("elapsed")))
    chains = rows(main, "chain")
    _read_chains(chains, unit, fields)
    fitted = plausible.small_count(main.get("chain_num"), _MAX_CHAINS)
    keep(fields, boards_total=fitted or len(chains) or None)
    asleep = plausible.small_count(main.get("miner-mode")) == 1 and not fields.get("hashrate_5s_ghs")
    keep(fields, mining_state=MiningState.SLEEPING if asleep else None, error_codes=_faults(summary))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _read_chains(chains: list[Row], unit: float, fields: Fields) -> None:
    boards = []
    pcb_sensors: list[float] = []
    chip_sensors: list[float] = []
    for position, chain in enumerate(chains):
        pcb, chips = plausible.temperatures(chain.get("temp_pcb")), plausible.temperatures(chain.get("temp_chip"))
        pcb_sensors.extend(pcb)
        chip_sensors.extend(chips)
        boards.append(_chain_board(chain, position, unit, pcb, chips))
    keep(fields, boards=tuple(boards), temperature_boards=tuple(pcb_sensors), temperature_chips=tuple(chip_sensors))
    fill(fields, hardware_errors=total(plausible.counter(chain.get("hw")) for chain in chains))


def _chain_board(chain: Row, position: int, unit: float, pcb: tuple[float, ...], chips: tuple[float, ...]) -> Board:
    index = plausible.small_count(chain.get("index"), 100)
    rate = plausible.rate(chain.get("rate_real"))
    chips_ok, listed = chip_states(chain.get("asic"))
    found = plausible.small_count(chain.get("asic_num"))
    return Board(
        id=position if index is None else index,
        hashrate_ghs=None if rate is None else round(rate * unit, 6),
        temperature=max(pcb, default=None),
        temperature_chip=max(chips, default=None),
        frequency=plausible.frequency(chain.get("freq_avg")),
        chips_ok=chips_ok,
        chips_total=found if found is not None else listed or None,
        serial_number=plausible.text(chain.get("sn")),
    )


def _faults(summary: Row) -> tuple[str, ...]:
    """The checks of the new API that failed: `status` rows other than "s"."""
    failed = [row for row in rows(summary, "status") if str(row.get("status", "s")).lower() != "s"]
    return tuple(found for row in failed if (found := plausible.text(row.get("type")) or plausible.text(message(row).get("type"))))
