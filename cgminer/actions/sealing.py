"""The encryption of WhatsminerAPI v2.0: AES-256-ECB with a key made from the md5-crypt of the admin password.

It keeps a password off the wire, not more; the maker chose it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final

from cgminer.errors import ActionRefused

_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS: Final = 1000
_BLOCK: Final = 16
_TRIPLES: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


@dataclass(frozen=True, slots=True)
class Token:
    """What proves the password to one miner for half an hour. `sign` goes with each request, `key` encrypts it."""

    sign: str
    key: bytes

    def seal(self, request: Mapping[str, Any]) -> bytes:
        """The bytes to send for `request`. Raises ActionRefused where the `cryptography` package is missing."""
        return json.dumps({"enc": 1, "data": self.sealed_text(json.dumps({**request, "token": self.sign}))}).encode()

    def sealed_text(self, text: str) -> str:
        plain = text.encode()
        padded = plain + b"\0" * (-len(plain) % _BLOCK)
        return base64.b64encode(cipher(self.key).encryptor().update(padded)).decode()

    def open(self, sealed: str) -> bytes:
        """The plain bytes of an encrypted answer. Raises ValueError when it is none."""
        return bytes(cipher(self.key).decryptor().update(base64.b64decode(sealed))).rstrip(b"\0")


def token_for(password: str, *, time: str, salt: str, newsalt: str) -> Token:
    """The token for what `get_token` answered."""
    key = md5_crypt(password, salt)
    return Token(sign=md5_crypt(key + time, newsalt), key=hashlib.sha256(key.encode()).digest())


def md5_crypt(password: str, salt: str) -> str:
    """The last part of `$1$salt$…` (Poul-Henning Kamp's md5-crypt), which Python's library has no longer."""
    secret, grain = password.encode(), salt.encode()[:8]
    mixed = _md5(secret + grain + secret)
    start = secret + b"$1$" + grain + bytes(islice(cycle(mixed), len(secret)))
    length = len(secret)
    while length:
        start += b"\0" if length & 1 else secret[:1]
        length >>= 1
    digest = _md5(start)
    for turn in range(_ROUNDS):
        odd = turn & 1
        middle = (grain if turn % 3 else b"") + (secret if turn % 7 else b"")
        digest = _md5((secret if odd else digest) + middle + (digest if odd else secret))
    return _in_letters(digest)


def _in_letters(digest: bytes) -> str:
    letters = []
    for high, middle, low in _TRIPLES:
        value = digest[high] << 16 | digest[middle] << 8 | digest[low]
        letters += [_ALPHABET[value >> shift & 63] for shift in (0, 6, 12, 18)]
    letters += [_ALPHABET[digest[11] >> shift & 63] for shift in (0, 6)]
    return "".join(letters)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as error:
        raise ActionRefused("Whatsminers are commanded with encryption: install the Python package “cryptography”.") from error
    return Cipher(algorithms.AES(key), modes.ECB())
