"""An authenticator app, as a phone has it: it knows the key that was scanned and the time."""

from __future__ import annotations

import base64
import re
import time

from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from people import second_factor

SHOWN_SECRET = re.compile(r'id="otp-secret">([A-Z2-7]+)<')
RECOVERY_CODE = re.compile(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b")
STEP_S = 30


class Phone:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def that_read(cls, page: str) -> Phone:
        return cls(base64.b32decode(SHOWN_SECRET.search(page).group(1)))

    def code(self, *, steps_ahead: int = 0) -> str:
        """What the app shows now, or `steps_ahead` half minutes later."""
        totp = TOTP(self._secret)
        totp.time = time.time() + steps_ahead * STEP_S
        return f"{totp.token():06}"


def enrolled(user) -> tuple[Phone, list[str]]:
    """A phone with which `user` is enrolled, a while ago, and the recovery codes."""
    secret = second_factor.new_secret()
    phone = Phone(secret)
    codes = second_factor.enrol(user, secret, phone.code())
    TOTPDevice.objects.filter(user=user).update(last_t=-1)  # the code of the enrolment was another one
    return phone, codes
