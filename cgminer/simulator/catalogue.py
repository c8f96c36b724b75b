"""The miners the simulator can play."""

from __future__ import annotations

from dataclasses import dataclass

from cgminer.simulator import firmwares
from cgminer.simulator.shape import Shape


@dataclass(frozen=True, slots=True)
class Model:
    """Nominal figures of one model: the whole machine, with its boards evenly loaded."""

    name: str
    """As the miner itself and an inventory write it."""
    shape: Shape
    hashrate_ghs: float
    power_w: int
    chips: int
    """On one board."""
    frequency_mhz: int
    fan_rpm: int = 5400
    boards: int = 3


MODELS = {
    "Antminer S9": Model("Antminer S9", firmwares.ANTMINER_2017, 13_500, 1_323, 63, 650),
    "Antminer S19": Model("Antminer S19", firmwares.ANTMINER_2020, 95_000, 3_250, 76, 675),
    "Antminer S19j Pro": Model("Antminer S19j Pro", firmwares.ANTMINER_2020, 104_000, 3_068, 126, 525),
    "Antminer S21": Model("Antminer S21", firmwares.ANTMINER_LOWER_CASE, 200_000, 3_500, 108, 490),
    "Antminer S19 Pro (Braiins OS)": Model("Antminer S19 Pro", firmwares.BRAIINS, 110_000, 3_250, 114, 675),
    "Antminer S19k Pro (LuxOS)": Model("Antminer S19k Pro", firmwares.LUXOS, 120_000, 2_760, 77, 580),
    "Antminer S19j Pro (Vnish)": Model("Antminer S19j Pro", firmwares.VNISH, 104_000, 3_068, 126, 545),
    "Whatsminer M30S++": Model("Whatsminer M30S++", firmwares.WHATSMINER_2022, 112_000, 3_472, 117, 690, 4_600),
    "Whatsminer M50": Model("Whatsminer M50", firmwares.WHATSMINER_2023, 118_000, 3_276, 105, 640, 4_700),
    "Avalon A1246": Model("Avalon A1246", firmwares.AVALON_A12, 90_000, 3_420, 120, 500, 5_300),
}
"""By a name that tells the firmware where one model is met with several."""
API3_MODELS = {"Whatsminer M60": Model("Whatsminer M60", firmwares.WHATSMINER_API3, 172_000, 3_422, 84, 700, 4_900)}
"""These listen on a port of their own."""
