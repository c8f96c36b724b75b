"""The commands that may be sent to a miner: reading changes nothing, control does. Nothing else leaves this library."""

from __future__ import annotations

from typing import Final

_CGMINER_READS: Final = (
    "version",
    "config",
    "summary",
    "pools",
    "devs",
    "edevs",
    "devdetails",
    "stats",
    "estats",
    "coin",
    "notify",
    "check",
)
_CGMINER_COUNTS: Final = ("asccount", "pgacount", "usbstats", "privileged")
_BRAIINS_READS: Final = ("fans", "temps", "tempctrl", "fanctrl", "tunerstatus")
_LUXOS_READS: Final = ("power", "profiles", "events", "groups", "limits", "voltageget", "frequencyget", "healthchipget")
_WHATSMINER_READS: Final = ("status", "get_version", "get_psu", "get_miner_info", "get_error_code")
_AVALON_READS: Final = ("litestats", "lcd")
_AURADINE_READS: Final = ("fan", "psu", "temperature", "frequency", "voltage", "mode", "led", "ipreport")

_POOL_CONTROLS: Final = ("addpool", "switchpool", "enablepool", "disablepool", "removepool", "poolpriority", "poolquota", "failover-only")
_PROGRAM_CONTROLS: Final = ("save", "restart", "setconfig", "zero", "hotplug")
_DEVICE_CONTROLS: Final = ("ascenable", "ascdisable", "ascset", "ascidentify", "asclock", "pgaenable", "pgadisable", "pgaset")
_GPU_CONTROLS: Final = ("gpuenable", "gpudisable", "gpurestart")
_BRAIINS_CONTROLS: Final = ("pause", "resume", "fanctrl")
_LUXOS_CONTROLS: Final = ("logon", "logoff", "session", "curtail", "rebootdevice", "resetminer", "fanset", "frequencyset", "profileset")
_WHATSMINER_CONTROLS: Final = (
    "get_token",
    "update_pools",
    "restart_btminer",
    "reboot",
    "power_on",
    "power_off",
    "set_target_freq",
    "set_led",
)
_WHATSMINER_POWER_CONTROLS: Final = ("adjust_power_limit", "set_power_pct", "set_low_power", "set_normal_power", "set_high_power")

READ_COMMANDS: Final = frozenset(
    _CGMINER_READS + _CGMINER_COUNTS + _BRAIINS_READS + _LUXOS_READS + _WHATSMINER_READS + _AVALON_READS + _AURADINE_READS
)
_FIRMWARE_CONTROLS: Final = _BRAIINS_CONTROLS + _LUXOS_CONTROLS + _WHATSMINER_CONTROLS + _WHATSMINER_POWER_CONTROLS
CONTROL_COMMANDS: Final = frozenset(_POOL_CONTROLS + _PROGRAM_CONTROLS + _DEVICE_CONTROLS + _GPU_CONTROLS + _FIRMWARE_CONTROLS)
