"""The firmwares that the simulator speaks. What each says is in `templates/`; this is how it behaves."""

from __future__ import annotations

from typing import Any

from cgminer.simulator.shape import CGMINER_CONTROLS, Shape, templates

_NO_BOARD_SWITCH = CGMINER_CONTROLS - {"ascenable", "ascdisable", "save", "zero"}
_BTMINER = frozenset({"power_off", "power_on", "restart_btminer", "reboot", "update_pools"})


def _firmware(folder: str, description: str, **behaviour: Any) -> Shape:
    replies, pool = templates(folder)
    return Shape(description=description, replies=replies, pool=pool, **behaviour)


def _whatsminer(folder: str, description: str, **behaviour: Any) -> Shape:
    """Knows neither `stats` nor `version` nor joins, ends without a NUL, and counts pools from 1."""
    return _firmware(folder, description, joins=False, terminator=b"", first_pool=1, invalid="invalid cmd", **behaviour)


ANTMINER_2017 = _firmware("antminer_2017", "bmminer 2.0.0")
"""Leaves out the comma between the two objects of STATS, as it did in the field."""
ANTMINER_2020 = _firmware("antminer_2020", "cgminer 1.0.0")
ANTMINER_LOWER_CASE = _firmware("antminer_lower_case", "cgminer 1.0.0")
VNISH = _firmware("antminer_vnish", "cgminer 1.0.0")
BRAIINS = _firmware("braiins", "BOSminer boser-openwrt 0.1.0-26ba61b9", controls=_NO_BOARD_SWITCH | {"pause", "resume"})
LUXOS = _firmware(
    "luxos",
    "LUXminer 2024.9.27.210123-8bb2d8a2",
    controls=CGMINER_CONTROLS | {"logon", "logoff", "session", "curtail", "rebootdevice", "resetminer", "fanset", "frequencyset"},
)
WHATSMINER_2022 = _whatsminer("whatsminer_2022", "btminer", controls=_NO_BOARD_SWITCH | _BTMINER)
"""Takes control commands as plain text, as firmware did before the token scheme."""
WHATSMINER_2023 = _whatsminer(
    "whatsminer_2023", "whatsminer v1.4", controls=frozenset({"get_token"}), refused=CGMINER_CONTROLS | _BTMINER, sealed=_BTMINER
)
"""Wants control commands encrypted with a token; plain ones are refused."""
WHATSMINER_API3 = Shape(description="btminer", replies={}, pool="", joins=False, first_pool=1, is_framed=True)
"""Firmware since the end of 2024: its old API is closed as it comes."""
AVALON_A12 = _firmware("avalon_a12", "cgminer 4.11.1", controls=CGMINER_CONTROLS | {"ascset"})
