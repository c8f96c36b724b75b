"""The numbers a simulated miner shows at one moment, under the names that the reply templates use."""

from __future__ import annotations

from functools import lru_cache
from math import sin
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cgminer.simulator.miner import SimulatedMiner

BOARDS = (1, 2, 3)
AMBIENT_C = 24
OVERHEATED_PCB_C = 92
SHARES_PER_SECOND = 0.08
HARDWARE_ERRORS_PER_SECOND = 0.004


def vitals(miner: SimulatedMiner, now: float) -> dict[str, Any]:
    """Slowly drifting values: the same seed and time give the same ones. Rates in GH/s, temperatures in °C, `now` in Unix seconds."""
    model, seed = miner.model, miner.spec.seed
    phase = float(seed % 10_007)
    elapsed = max(1, int(now - miner.started_at))
    hashed_board_s = miner.hashed_board_seconds(now)
    hashed_s = hashed_board_s / model.boards
    boards_up = miner.boards_up
    nominal = model.hashrate_ghs / model.boards * (0.985 + 0.03 * (seed % 101) / 101)
    accepted = miner.accepted_shares(now)
    rpm = 0 if miner.asleep else model.fan_rpm + int(240 * sin(now / 431 + phase))
    wave = 1 + 0.02 * sin(now / 37 + phase)
    values: dict[str, Any] = {
        "when": int(now),
        "elapsed": elapsed,
        "ghs_5s": 0.0,
        "ghs_av": nominal * hashed_board_s / elapsed,
        "ghs_30m": nominal * boards_up * (1 + 0.004 * sin(now / 900 + phase)),
        "ideal": model.hashrate_ghs,
        "ideal_board": model.hashrate_ghs / model.boards,
        "freq": miner.frequency_mhz,
        "chips_total": model.chips * (model.boards - miner.boards_lost),
        "fan1": rpm,
        "fan2": rpm and rpm + 60,
        "fan3": rpm and rpm - 120,
        "fan4": rpm and rpm - 60,
        "duty": 0 if miner.asleep else miner.fan_percent or min(100, 40 + rpm // 150),
        "power": int(model.power_w * boards_up / model.boards * (1 + 0.01 * sin(now / 71 + phase))) or STANDBY_W,
        "limit": int(model.power_w * 1.05),
        "accepted": accepted,
        "rejected": accepted // 700,
        "stale": accepted // 2_000,
        "hw": int(hashed_s * HARDWARE_ERRORS_PER_SECOND),
        "ambient": AMBIENT_C + 4 * sin(now / 7_200),
        "serial": miner.spec.serial_number,
        "mac": miner.spec.mac_address,
        "mode": 254 if miner.asleep else 2,
        **miner.words,
        "chip_max": 0,
    }
    for board in BOARDS:
        up = board <= boards_up
        rate = nominal * wave * (1 + 0.01 * sin(now / 53 + phase + board)) if up else 0.0
        values["ghs_5s"] += rate
        _board(values, board, miner, rate=rate, drift=2.5 * sin(now / 613 + phase + 2 * board))
    values["mhs_5s"] = values["ghs_5s"] * 1000
    values["mhs_av"] = values["ghs_av"] * 1000
    values["mhs_30m"] = values["ghs_30m"] * 1000
    return values


STANDBY_W = 35


def _board(values: dict[str, Any], board: int, miner: SimulatedMiner, *, rate: float, drift: float) -> None:
    fitted = board <= miner.model.boards - miner.boards_lost
    pcb = int(_pcb_temperature(miner, fitted) + drift) if fitted and not miner.asleep else 0
    chip = pcb + 12 if pcb else 0
    values[f"rate{board}"] = rate
    values[f"mhs{board}"] = rate * 1000
    values[f"pcb{board}"] = pcb
    values[f"chip{board}"] = chip
    values[f"pcbs{board}"] = f"{pcb - 9}-{pcb - 7}-{pcb}-{pcb - 1}" if pcb else "0-0-0-0"
    values[f"chips{board}"] = f"{chip - 9}-{chip - 7}-{chip}-{chip - 1}" if chip else "0-0-0-0"
    values[f"each_chip{board}"] = _each_chip(pcb, chip, miner.model.chips if fitted else 0)
    values[f"acn{board}"] = miner.model.chips if fitted else 0
    values[f"acs{board}"] = miner.chip_map if fitted else ""
    values[f"freq{board}"] = miner.frequency_mhz if fitted else 0
    values[f"hw{board}"] = values["hw"] // miner.model.boards if fitted else 0
    values[f"accepted{board}"] = values["accepted"] // miner.model.boards
    values[f"sn{board}"] = f"{miner.spec.serial_number}B{board}"
    values["chip_max"] = max(values["chip_max"], chip)


@lru_cache(maxsize=2_000)
def _each_chip(coolest: int, hottest: int, chips: int) -> str:
    return "".join(f" {coolest + index % (hottest - coolest + 1):3d}" for index in range(chips))


def _pcb_temperature(miner: SimulatedMiner, fitted: bool) -> float:
    if miner.overheated:
        return OVERHEATED_PCB_C
    return 58 + miner.spec.seed % 9 if miner.boards_up and fitted else AMBIENT_C + 6
