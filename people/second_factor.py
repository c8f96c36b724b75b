"""The second factor: an authenticator app that shows a new code every 30 seconds, and ten recovery codes on paper.

secret = new_secret()                        # shown as a QR code, and kept sealed until a code proves that the app has it
codes = enrol(user, secret, code)            # the recovery codes, readable this once
device = verify(user, code)                  # at each login
reset(user, by=administrator)                # the phone is lost, the paper too
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from urllib.parse import quote, urlencode

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken

from people.models import Authenticator, RecoveryCodes
from people.sealing import fingerprint, seal
from people.sessions import end_sessions

ISSUER = "HashInsight"
SECRET_LENGTH = 20
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
EVERYBODY, SUPERUSERS = "all", "superusers"

log = structlog.get_logger(__name__)


class WrongCode(Exception):
    """The code is not the one that the app shows now."""


class TooSoon(Exception):
    """Codes were wrong just before, from whichever address: the next is looked at in `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"wait {wait_s} s")
        self.wait_s = wait_s


def is_required_of(user: User) -> bool:
    """Whether `user` may work only with a second factor: REQUIRE_2FA names groups, "superusers", or "all"."""
    required = set(settings.REQUIRE_2FA)
    if not required or not user.is_staff:
        return False
    if EVERYBODY in required or (user.is_superuser and SUPERUSERS in required):
        return True
    return user.groups.filter(name__in=required).exists()


def authenticator_of(user: User) -> Authenticator | None:
    device: Authenticator | None = Authenticator.objects.filter(user=user, confirmed=True).first()
    return device


def new_secret() -> bytes:
    return os.urandom(SECRET_LENGTH)


def app_address(user: User, secret: bytes) -> str:
    """What the QR code says: the `otpauth` address that authenticator apps read."""
    label = quote(f"{ISSUER}:{user.get_username()}")
    return f"otpauth://totp/{label}?" + urlencode({"secret": base64.b32encode(secret).decode(), "issuer": ISSUER})


def enrol(user: User, secret: bytes, code: str, *, keep_session: str | None = None) -> list[str]:
    """Make the app that knows `secret` the second factor of `user`; the recovery codes. Raises WrongCode.

    Sessions begun without it are ended, but for `keep_session`.
    """
    totp = TOTP(secret)
    totp.time = time.time()
    digits = _folded(code)
    if not digits.isdecimal() or not totp.verify(int(digits), tolerance=1):
        log.warning("second_factor_refused", user=user.get_username(), at="enrolment")
        raise WrongCode
    with transaction.atomic():
        _delete_devices(user)
        # The code just used can't be used again.
        Authenticator.objects.create(user=user, name="app", key=seal(secret), last_t=totp.t(), drift=totp.drift)
        codes = _new_recovery_codes(user)
    end_sessions(user, keep=keep_session)
    log.info("second_factor_enrolled", user=user.get_username())
    return codes


def renew_recovery_codes(user: User) -> list[str]:
    """Ten new codes; the old ones no longer work."""
    with transaction.atomic():
        codes = _new_recovery_codes(user)
    log.info("recovery_codes_renewed", user=user.get_username())
    return codes


def recovery_codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


@transaction.atomic
def verify(user: User, code: str) -> Authenticator | RecoveryCodes | None:
    """The device that `code` is of, used up by this; None when it is of none.

    Each device waits longer after each wrong code. Raises TooSoon.
    """
    folded = _folded(code)
    # Six digits come from the app, all else from paper: neither is guessed at the cost of the other.
    kind = Authenticator if folded.isdigit() else RecoveryCodes
    device: Authenticator | RecoveryCodes | None = kind.objects.select_for_update().filter(user=user, confirmed=True).first()
    if device is None:
        return None
    allowed, why = device.verify_is_allowed()
    if not allowed:
        raise TooSoon(max(1, round((why["locked_until"] - timezone.now()).total_seconds())))
    if device.verify_token(folded):
        log.info("second_factor_accepted", user=user.get_username(), device=device._meta.model_name)
        return device
    log.warning("second_factor_refused", user=user.get_username(), at="login")
    return None


def reset(user: User, *, by: str) -> bool:
    """Take the second factor from `user` and end their sessions; False when there was none. `by` is who asked."""
    had_one = _delete_devices(user)
    end_sessions(user)
    log.warning("second_factor_reset", user=user.get_username(), by=by, had_one=had_one)
    return had_one


def _delete_devices(user: User) -> bool:
    deleted, _by_model = Authenticator.objects.filter(user=user).delete()
    RecoveryCodes.objects.filter(user=user).delete()
    return bool(deleted)


def _new_recovery_codes(user: User) -> list[str]:
    # The device stays: a session that one of its codes opened goes on.
    device, _made = RecoveryCodes.objects.get_or_create(user=user, defaults={"name": "paper"})
    StaticToken.objects.filter(device_id=device.pk).delete()
    codes = ["-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(2)) for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device_id=device.pk, token=fingerprint(_folded(code))) for code in codes)
    return codes


def _folded(code: str) -> str:
    """As it is compared: without blanks and dashes, in lower case."""
    return code.replace(" ", "").replace("-", "").strip().lower()
