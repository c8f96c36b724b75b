"""What belongs to a person who works with the console: their sessions, their second factor, the language they read."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from simple_history import register

from people.sealing import fingerprint, unseal
from sites.changes import ChangeRecords

register(
    User,
    app="people",
    manager_name="changes",
    records_class=ChangeRecords,
    excluded_fields=["password", "last_login"],
    m2m_fields=["groups", "user_permissions"],
)
register(Group, app="people", manager_name="changes", records_class=ChangeRecords, m2m_fields=["permissions"])


class SessionQuerySet(models.QuerySet["Session"]):
    def open(self, now: datetime) -> SessionQuerySet:
        return self.filter(expire_date__gt=now)


class Session(AbstractBaseSession):
    """One browser in which a person is logged in, or somebody who is not logged in but was remembered. Written by `people.sessions`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, null=True, related_name="sessions")
    address = models.GenericIPAddressField(_("address"), null=True)
    browser = models.CharField(_("browser"), max_length=200, blank=True)
    started_at = models.DateTimeField(_("since"), null=True)

    objects: ClassVar[Any] = BaseSessionManager.from_queryset(SessionQuerySet)()

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        db_table = "people_sessions"

    def __str__(self) -> str:
        """Without the key: with it anybody is that person."""
        return f"{self.address or '–'} {self.started_at:%Y-%m-%d %H:%M}" if self.started_at else str(self.address or "–")

    @classmethod
    def get_session_store_class(cls) -> Any:
        return import_module(settings.SESSION_ENGINE).SessionStore


class Preferences(models.Model):
    """What a person chose for themselves; without a row nothing was chosen."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="preferences")
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=settings.LANGUAGES,
        blank=True,
        help_text=_("Of the console after logging in. Empty: the browser's."),
    )

    class Meta:
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return str(self.user)


class Authenticator(TOTPDevice):  # type: ignore[misc]  # django-otp carries no types
    """An authenticator app: django-otp's device, its key sealed."""

    class Meta:
        proxy = True
        verbose_name = _("authenticator")
        verbose_name_plural = _("authenticators")

    @property
    def bin_key(self) -> bytes:
        """Raises SealBroken when SECRET_KEY changed since the enrolment."""
        return unseal(self.key)


class RecoveryCodes(StaticDevice):  # type: ignore[misc]
    """The codes on paper, for when the authenticator is lost: django-otp's device, holding fingerprints in the place of codes."""

    class Meta:
        proxy = True
        verbose_name = _("recovery codes")
        verbose_name_plural = _("recovery codes")

    def verify_token(self, token: str) -> bool:
        return bool(super().verify_token(fingerprint(token)))
