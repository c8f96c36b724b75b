"""Sites, the keys of their collectors, and who may see them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sites.changes import ChangeRecords

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

KEY_PREFIX = "hsc_"
VISIBLE_PREFIX_LENGTH = 12


def validate_timezone(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(_("“%(value)s” is not a time zone; use a name such as Asia/Shanghai or UTC."), params={"value": value})


class SiteQuerySet(models.QuerySet["Site"]):
    def active(self) -> SiteQuerySet:
        return self.filter(is_active=True)

    def polled(self) -> SiteQuerySet:
        """Sites whose miners this server reads itself."""
        return self.active().filter(collection=Site.Collection.SERVER)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> SiteQuerySet:
        """All sites for a superuser, the given ones for other staff, none for anybody else."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self
        return self.filter(users=user.pk)


class Site(models.Model):
    """One mining farm: miners in one place, behind one collector or reachable by this server."""

    class Collection(models.TextChoices):
        SERVER = "server", _("this server polls the miners")
        COLLECTOR = "collector", _("an edge collector uploads")

    code = models.CharField(
        _("code"),
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", _("Use letters, digits, dot, dash and underscore."))],
        help_text=_("Short name on the wire and in commands; collectors send it as X-Site-ID."),
    )
    name = models.CharField(_("name"), max_length=100)
    collection = models.CharField(_("readings come from"), max_length=10, choices=Collection.choices, default=Collection.SERVER)
    timezone = models.CharField(_("time zone"), max_length=50, default="UTC", validators=[validate_timezone])
    interval_seconds = models.PositiveIntegerField(
        _("interval, s"), default=60, help_text=_("A miner is stale when nothing was heard for three intervals.")
    )
    register_unknown_miners = models.BooleanField(
        _("register unknown miners"),
        default=True,
        help_text=_("A miner that an upload names for the first time is added to the inventory."),
    )
    power_price_kwh = models.DecimalField(_("power price per kWh, USD"), max_digits=8, decimal_places=5, null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("staff"),
        blank=True,
        related_name="sites",
        help_text=_("Who sees this site. Superusers see every site."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = SiteQuerySet.as_manager()
    changes = ChangeRecords(m2m_fields=[users])

    class Meta:
        ordering = ["code"]
        verbose_name = _("site")
        verbose_name_plural = _("sites")
        constraints = [models.CheckConstraint(condition=models.Q(interval_seconds__gte=10), name="site_interval_at_least_10_s")]

    def __str__(self) -> str:
        return self.name


def digest_of(key: str) -> str:
    """SHA-256 of a collector key, hexadecimal: the only form in which a key is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


class CollectorKeyQuerySet(models.QuerySet["CollectorKey"]):
    def usable(self, now: datetime) -> CollectorKeyQuerySet:
        """Neither revoked nor expired, of an active site."""
        alive = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        return self.filter(alive, revoked_at__isnull=True, site__is_active=True)

    def generate(
        self, *, site: Site, name: str, created_by: AbstractBaseUser | None = None, expires_at: datetime | None = None
    ) -> tuple[CollectorKey, str]:
        """Make a key for `site`; the second value is the key itself, which can never be read again."""
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = self.create(
            site=site,
            name=name,
            prefix=secret[:VISIBLE_PREFIX_LENGTH],
            digest=digest_of(secret),
            created_by_id=created_by.pk if created_by else None,
            expires_at=expires_at,
        )
        return key, secret


class CollectorKey(models.Model):
    """One credential of one site's collector; several may live side by side while an agent is moved to a new one."""

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="collector_keys")
    name = models.CharField(_("name"), max_length=100, help_text=_("Where the key is used, e.g. “container 3, Raspberry Pi”."))
    prefix = models.CharField(_("begins with"), max_length=VISIBLE_PREFIX_LENGTH, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    objects = CollectorKeyQuerySet.as_manager()
    changes = ChangeRecords(excluded_fields=["digest", "last_used_at"])

    class Meta:
        ordering = ["site", "name", "pk"]
        verbose_name = _("collector key")
        verbose_name_plural = _("collector keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def state(self) -> str:
        """ "active", "expired" or "revoked", as of now."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= timezone.now() else "active"
