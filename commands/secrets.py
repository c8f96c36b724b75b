"""Passwords at rest: encrypted with a key derived from SECRET_KEY, so a copy of the database alone reveals none."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


class SecretUnreadable(Exception):
    """The secret was stored under another SECRET_KEY."""


def _cipher() -> Fernet:
    derived = hashlib.sha256(b"hashinsight secrets\x00" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(derived))


def seal(values: dict[str, Any]) -> str:
    """Encrypt `values`; an empty dict stays an empty string."""
    return _cipher().encrypt(json.dumps(values).encode()).decode() if values else ""


def unseal(sealed: str) -> dict[str, Any]:
    """What `seal` was given. Raises SecretUnreadable when SECRET_KEY changed since."""
    if not sealed:
        return {}
    try:
        values: dict[str, Any] = json.loads(_cipher().decrypt(sealed.encode()))
    except InvalidToken as error:
        raise SecretUnreadable("A stored password cannot be read: SECRET_KEY was changed. Enter the password again.") from error
    return values
