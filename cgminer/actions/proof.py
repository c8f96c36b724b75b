"""What proves the password to a Whatsminer with API 3: a hash of the command, the password, the miner's salt and the moment.

MicroBT's API 3 document: SHA-256 of the four behind each other; the first eight letters of its Base64 are the token, the hash itself is the
AES key (ECB) for the parameters that hold passwords.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from cgminer.actions.sealing import cipher

ACCOUNT: Final = "super"
"""The only account that every firmware has; "admin" is not taken any more."""
_TOKEN_LETTERS: Final = 8
_BLOCK: Final = 16


@dataclass(frozen=True, slots=True)
class Proof:
    """Good for one command at one moment (Unix seconds)."""

    at: int
    key: bytes

    @classmethod
    def of(cls, command: str, *, password: str, salt: str, at: int) -> Proof:
        return cls(at, hashlib.sha256(f"{command}{password}{salt}{at}".encode()).digest())

    @property
    def token(self) -> str:
        return base64.b64encode(self.key).decode()[:_TOKEN_LETTERS]

    def seal(self, text: str) -> str:
        """Raises ActionRefused where the `cryptography` package is missing."""
        plain = text.encode()
        missing = _BLOCK - len(plain) % _BLOCK
        return base64.b64encode(cipher(self.key).encryptor().update(plain + bytes([missing]) * missing)).decode()

    def open(self, sealed: str) -> str:
        """Raises ValueError for what was not sealed with this key."""
        plain = bytes(cipher(self.key).decryptor().update(base64.b64decode(sealed)))
        return plain[: -plain[-1]].decode() if plain else ""
