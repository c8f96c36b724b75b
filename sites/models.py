"""Sites, who may see them, their collectors, and the keys of these."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
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
LATE_INTERVALS, SILENT_INTERVALS = 2, 3
"""How many of its own intervals a collector may keep quiet before it is late, and before it is silent."""


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


def new_secret() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


class CollectorKeyQuerySet(models.QuerySet["CollectorKey"]):
    def usable(self, now: datetime) -> CollectorKeyQuerySet:
        """Neither revoked nor expired, of an active site."""
        alive = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        return self.filter(alive, revoked_at__isnull=True, site__is_active=True)

    def generate(
        self, *, site: Site, name: str, created_by: AbstractBaseUser | None = None, expires_at: datetime | None = None
    ) -> tuple[CollectorKey, str]:
        """Make a key for `site`; the second value is the key itself, which can never be read again."""
        secret = new_secret()
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
    replacement_asked_at = models.DateTimeField(_("replacement asked for"), null=True, blank=True, editable=False)
    replacement_asked_by = models.CharField(_("replacement asked for by"), max_length=150, blank=True, editable=False)
    replacement_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    """When the key would have ended without the replacement; the new ones take it over."""
    replaces = models.ForeignKey(
        "self", verbose_name=_("replaces"), on_delete=models.SET_NULL, null=True, blank=True, related_name="replacements", editable=False
    )
    fetched_by = models.CharField(_("fetched by"), max_length=151, blank=True, editable=False)
    """Device and zone of the collector that fetched it with the key it replaces."""
    confirmed_at = models.DateTimeField(_("first heartbeat with it"), null=True, blank=True, editable=False)

    objects = CollectorKeyQuerySet.as_manager()
    changes = ChangeRecords(excluded_fields=["digest", "last_used_at", "confirmed_at", "fetched_by"])

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


class CollectorQuerySet(models.QuerySet["Collector"]):
    def watched(self) -> CollectorQuerySet:
        """Those that should be heard: they have beaten once, of active sites, and nobody has said that they are gone."""
        return self.filter(is_watched=True, heartbeat_at__isnull=False, site__is_active=True)

    def silent(self, now: datetime) -> CollectorQuerySet:
        """Watched collectors without a heartbeat for SILENT_INTERVALS of their own intervals."""
        return self.watched().filter(silent_from__lt=now)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> CollectorQuerySet:
        return self.filter(site__in=Site.objects.visible_to(user))


class Collector(models.Model):
    """One edge collector of a site, by the device and the zone it names, as its last heartbeat described it.

    One that only numbers its uploads has a row too, without a heartbeat. Times are this server's where nothing else is said.
    """

    class State(models.TextChoices):
        ONLINE = "online", _("online")
        LATE = "late", _("late")
        SILENT = "silent", _("silent")
        UNHEARD = "unheard", _("sends no heartbeats")

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="collectors")
    device_id = models.CharField(_("device"), max_length=100, blank=True)
    zone_id = models.CharField(_("zone"), max_length=50, blank=True)
    is_watched = models.BooleanField(
        _("watched"), default=True, help_text=_("Clear it when this collector is gone for good: nobody is told of its silence any more.")
    )
    first_seen_at = models.DateTimeField(_("first seen"), auto_now_add=True)
    key = models.ForeignKey(CollectorKey, verbose_name=_("key"), on_delete=models.SET_NULL, null=True, related_name="collectors")
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True)
    silent_from = models.DateTimeField(_("silent from"), null=True)
    interval_seconds = models.PositiveIntegerField(_("interval, s"), default=60)
    version = models.CharField(_("version"), max_length=50, blank=True)
    client_address = models.GenericIPAddressField(_("from"), null=True)
    started_at = models.DateTimeField(_("started"), null=True, help_text=_("By the collector’s own clock."))
    sent_at = models.DateTimeField(_("sent"), null=True, help_text=_("By the collector’s own clock."))
    clock_offset_ms = models.FloatField(_("the server’s clock less its own, ms"), null=True)
    miners = models.PositiveIntegerField(_("miners"), null=True)
    poll_duration_ms = models.FloatField(_("last round took, ms"), null=True)
    spool_records = models.BigIntegerField(_("readings waiting"), null=True)
    spool_bytes = models.BigIntegerField(_("spool, bytes"), null=True)
    spool_oldest_at = models.DateTimeField(_("oldest reading waiting"), null=True, help_text=_("By the collector’s own clock."))
    last_acked_seq = models.BigIntegerField(_("last number acknowledged"), null=True)
    commands_open = models.PositiveIntegerField(_("commands at work"), null=True)

    objects = CollectorQuerySet.as_manager()

    class Meta:
        ordering = ["site", "zone_id", "device_id"]
        verbose_name = _("collector")
        verbose_name_plural = _("collectors")
        constraints = [models.UniqueConstraint(fields=["site", "device_id", "zone_id"], name="one_collector_a_device_and_zone")]

    def __str__(self) -> str:
        return " / ".join(part for part in (self.zone_id, self.device_id) if part) or "–"

    def state(self, now: datetime) -> Collector.State:
        """By its own interval: late after two without a heartbeat, silent after three."""
        if self.heartbeat_at is None:
            return self.State.UNHEARD
        quiet = (now - self.heartbeat_at) / timedelta(seconds=self.interval_seconds)
        return self.State.SILENT if quiet > SILENT_INTERVALS else self.State.LATE if quiet > LATE_INTERVALS else self.State.ONLINE

    def lag(self) -> timedelta:
        """How far the server is behind the farm: the age of the oldest reading that waits there, by the last heartbeat."""
        if not self.spool_records or self.spool_oldest_at is None or self.sent_at is None:
            return timedelta(0)
        return max(timedelta(0), self.sent_at - self.spool_oldest_at)


class CollectorEvent(models.Model):
    """Something a collector did or lost, in its own words and at its own time; known by its id within the site."""

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, db_index=False, related_name="collector_events")
    collector = models.ForeignKey(Collector, verbose_name=_("collector"), on_delete=models.CASCADE, db_index=False, related_name="events")
    event_id = models.UUIDField(_("id"))
    kind = models.CharField(_("kind"), max_length=40)
    at = models.DateTimeField(_("at"))
    received_at = models.DateTimeField(_("received"), db_index=True)
    miner_id = models.CharField(_("miner"), max_length=50, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)
    details = models.JSONField(_("details"), default=dict)
    is_due = models.BooleanField(default=False, editable=False)
    """It tells of readings that were dropped, and the ledger of gaps has not taken note of it yet."""

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = _("collector event")
        verbose_name_plural = _("collector events")
        indexes = [
            models.Index(fields=["collector", "-at"], name="events_of_collector"),  # the last ones on its page
            models.Index(fields=["id"], condition=models.Q(is_due=True), name="events_due"),  # the ledger's next work
        ]
        constraints = [models.UniqueConstraint(fields=["site", "event_id"], name="one_event_an_id")]  # what is sent twice is kept once

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M:%S}"
