"""Secrets of the second factor at rest: under keys derived from SECRET_KEY, so that a copy of the database alone opens nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE_LENGTH = 12


class SealBroken(Exception):
    """It was sealed under another SECRET_KEY."""


def _key(purpose: bytes) -> bytes:
    return hashlib.sha256(b"hashinsight " + purpose + b"\x00" + settings.SECRET_KEY.encode()).digest()


def seal(secret: bytes) -> str:
    """`secret` encrypted, as text of 4/3 (length + 28) characters: 64 for an authenticator's 20 bytes."""
    nonce = os.urandom(_NONCE_LENGTH)
    return base64.urlsafe_b64encode(nonce + AESGCM(_key(b"authenticator")).encrypt(nonce, secret, None)).decode()


def unseal(sealed: str) -> bytes:
    """What `seal` was given. Raises SealBroken."""
    try:
        raw = base64.urlsafe_b64decode(sealed)
        return AESGCM(_key(b"authenticator")).decrypt(raw[:_NONCE_LENGTH], raw[_NONCE_LENGTH:], None)
    except (InvalidTag, ValueError):
        raise SealBroken("An authenticator was enrolled under another SECRET_KEY: reset it and enrol it again.") from None


def fingerprint(code: str) -> str:
    """16 characters by which a recovery code is known again; the code can't be read from them."""
    digest = hmac.digest(_key(b"recovery codes"), code.encode(), "sha256")
    return base64.b32encode(digest)[:16].decode()
