"""What the operating system says about a connection, told in the words of the error tree."""

from __future__ import annotations

import errno

from cgminer.address import Address
from cgminer.errors import MinerAccessDenied, MinerConnectionError, MinerError, MinerReplyError, MinerTimeout, PortClosed

_REASONS = {
    errno.ECONNREFUSED: "refused the connection; is the miner up and its API switched on?",
    errno.EHOSTUNREACH: "no route to this address; check the network and the miner's power",
    errno.ENETUNREACH: "no route to this network from here",
    errno.EHOSTDOWN: "nothing answers at this address; check the miner's power and cable",
}


def located(error: MinerError, address: Address) -> MinerError:
    """The same error with the address in front, which the modules that only see bytes do not know."""
    text = str(error)
    return error if text.startswith(f"{address}: ") else type(error)(f"{address}: {text}")


def connection_failed(address: Address, error: OSError) -> MinerError:
    """The error for a connection that could not be made, or was gone before the request was out."""
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return hung_up(address)
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return MinerTimeout(f"{address}: no answer to the connection")
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return (PortClosed if error.errno == errno.ECONNREFUSED else MinerConnectionError)(f"{address}: {reason}")


def hung_up(address: Address) -> MinerAccessDenied:
    """The miner accepted, then closed or reset without a byte: what firmware does to callers outside its API allow list."""
    return MinerAccessDenied(
        f"{address}: closed the connection without answering; allow this machine's address in the miner's API settings (api-allow)"
    )


def no_connection(address: Address, seconds: float) -> MinerTimeout:
    return MinerTimeout(f"{address}: no connection within {seconds:g} s")


def no_reply(address: Address, seconds: float, *, received: int) -> MinerTimeout:
    what = f"only part of a reply ({received} bytes)" if received else "no answer"
    return MinerTimeout(f"{address}: {what} within {seconds:g} s")


def reply_too_long(address: Address, limit: int) -> MinerReplyError:
    return MinerReplyError(f"{address}: the reply is longer than {limit} bytes; is this a miner?")
