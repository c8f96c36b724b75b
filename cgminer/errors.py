"""What can go wrong between us and a miner, as a small tree.

Each class carries the word that is stored and counted (`error_type`) and whether the same request is worth sending again.
"""

from __future__ import annotations

from typing import ClassVar


class MinerError(Exception):
    """Any failed conversation with a miner. The message names the address, what happened and what to do, for a person."""

    error_type: ClassVar[str] = "error"
    worth_retrying: ClassVar[bool] = False
    sent: bool = False
    """Whether the request had left when this happened: then the miner may have carried it out."""


class MinerTimeout(MinerError):
    """Nothing, or not a whole reply, within the time allowed: retry, then the miner counts as offline."""

    error_type = "timeout"
    worth_retrying = True


class MinerConnectionError(MinerError):
    """Refused, reset or unreachable: retry, then the miner counts as offline."""

    error_type = "connection"
    worth_retrying = True


class PortClosed(MinerConnectionError):
    """The machine is there, but nothing listens at this port."""


class MinerNameError(MinerError):
    """The host name does not resolve or the address is malformed: the configuration is wrong, retrying is useless."""

    error_type = "dns"


class MinerReplyError(MinerError):
    """The reply cannot be read even after every named repair: skip this point, keep the miner's state."""

    error_type = "parse"


class MinerAccessDenied(MinerError):
    """The miner refuses this caller: code 45, or an empty reply or a reset right after accepting (API allow list)."""

    error_type = "auth"


class UnsupportedCommand(MinerError):
    """This firmware does not know the command (CGMiner codes 14 and 83, or the maker's own word for it)."""

    error_type = "unsupported"


class ActionRefused(MinerError):
    """We do not send this: the firmware cannot do it, or the password for it is missing."""

    error_type = "refused"
