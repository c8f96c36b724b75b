"""What stays with a machine when its address changes: serial number and MAC address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext_noop

from miners.models import Miner
from sites.changes import note_changes

_SEPARATORS = re.compile(r"[\s:.\-]")
_WITH_PORT = re.compile(r"^(\d+\.\d+\.\d+\.\d+):\d+$")
_TWELVE_HEX_DIGITS = re.compile(r"[0-9A-F]{12}")


def mac_address(text: str) -> str | None:
    """`AA:BB:CC:DD:EE:FF`, however it was written; None when it is not a MAC address."""
    digits = _SEPARATORS.sub("", text).upper()
    if not _TWELVE_HEX_DIGITS.fullmatch(digits) or digits == "0" * 12:
        return None
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def without_port(text: str) -> str:
    """`10.0.3.17` of `10.0.3.17:4028`, the way pages show an address; anything else as it is."""
    return _WITH_PORT.sub(r"\1", text)


@dataclass(frozen=True, slots=True)
class Identity:
    """Empty strings are unknown."""

    serial_number: str = ""
    mac_address: str = ""

    def completed(self, *, serial_number: str | None, mac_address: str | None) -> Identity:
        """With what the machine says of itself where nothing is known yet. What a person entered stays."""
        if (self.serial_number or not serial_number) and (self.mac_address or not mac_address):
            return self
        return Identity(self.serial_number or (serial_number or "")[:64], self.mac_address or (mac_address or "")[:17])

    def contradicts(self, other: Identity) -> bool:
        """Whether these are two machines: one knows a serial number or MAC address that the other has differently."""
        pairs = ((self.serial_number, other.serial_number), (self.mac_address, other.mac_address))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def follow_ports(ports: dict[int, int]) -> None:
    """Miners, by primary key, that answer at another port than before: their new firmware closes the old one."""
    miners = list(Miner.objects.filter(pk__in=ports))
    for miner in miners:
        miner.port = ports[miner.pk]
    Miner.objects.bulk_update(miners, ["port"], batch_size=500)
    note_changes(miners, reason=gettext_noop("answers at another port"))


def fill_identities(identities: dict[int, Identity]) -> None:
    """Write what was learnt, by miner primary key; few after a site's first round."""
    rows = [Miner(pk=pk, serial_number=known.serial_number, mac_address=known.mac_address) for pk, known in identities.items()]
    if rows:
        Miner.objects.bulk_update(rows, ["serial_number", "mac_address"], batch_size=500)
