"""The inventory: which miners a farm has, of which model, and where they stand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from sites.changes import ChangeRecords
from sites.models import Site

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class MinerModel(models.Model):
    """One model as its maker's data sheet describes it; nameplate figures, in the units of the wire."""

    class Cooling(models.TextChoices):
        AIR = "air", _("air")
        HYDRO = "hydro", _("hydro")
        IMMERSION = "immersion", _("immersion")

    maker = models.CharField(_("maker"), max_length=50)
    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.SlugField(_("slug"), max_length=100, unique=True)
    aliases = models.JSONField(_("reported as"), default=list, blank=True, help_text=_("Names that firmware reports for this model."))
    hashrate_ghs = models.FloatField(_("hash rate, GH/s"))
    power_consumption = models.FloatField(_("power, W"))
    efficiency = models.FloatField(_("efficiency, J/TH"))
    boards = models.PositiveSmallIntegerField(_("hashboards"))
    fans = models.PositiveSmallIntegerField(_("fans"))
    chips_per_board = models.PositiveSmallIntegerField(_("chips a board"), null=True, blank=True)
    cooling = models.CharField(_("cooling"), max_length=10, choices=Cooling.choices, default=Cooling.AIR)
    temperature_max = models.FloatField(_("highest temperature, °C"), null=True, blank=True)
    frequency_min = models.FloatField(_("lowest frequency, MHz"), null=True, blank=True)
    frequency_max = models.FloatField(_("highest frequency, MHz"), null=True, blank=True)
    capabilities = models.JSONField(
        _("capabilities"), default=list, blank=True, help_text=_("Command types that stock firmware carries out.")
    )
    released = models.PositiveSmallIntegerField(_("released"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=255, help_text=_("The data sheet the figures come from."))

    changes = ChangeRecords()

    class Meta:
        ordering = ["maker", "name"]
        verbose_name = _("miner model")
        verbose_name_plural = _("miner models")

    def __str__(self) -> str:
        return self.name


class MinerTag(models.Model):
    """A word that operators give to miners, to choose them by: a customer, a batch, a repair campaign."""

    name = models.CharField(_("tag"), max_length=50, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("tag")
        verbose_name_plural = _("tags")

    def __str__(self) -> str:
        return self.name


class MinerState(models.TextChoices):
    """What people see of a miner: its newest reading, judged by how long ago something was heard."""

    ONLINE = "online", _("online")
    SLEEPING = "sleeping", _("sleeping")
    OFFLINE = "offline", _("offline")
    STALE = "stale", _("stale")
    NEVER = "never", _("never seen")
    DISABLED = "disabled", _("switched off")


STALE_INTERVALS = 3
SEARCHED_FIELDS = ("miner_id", "ip_address", "serial_number", "mac_address", "worker_name")
"""Of the inventory; PostgreSQL has an index of each for its beginning."""


def _silent(now: datetime) -> Q:
    """Nothing was heard for three intervals of the miner's site."""
    silent = Q(pk__in=[])
    for seconds in Site.objects.order_by().values_list("interval_seconds", flat=True).distinct():
        silent |= Q(site__interval_seconds=seconds, live__timestamp__lt=now - timedelta(seconds=seconds * STALE_INTERVALS))
    return silent


class MinerQuerySet(models.QuerySet["Miner"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> MinerQuerySet:
        return self.filter(site__in=Site.objects.visible_to(user))

    def beginning_with(self, text: str, *, mac: str | None = None) -> MinerQuerySet:
        """Whose ID, address, serial number, MAC or worker (expected or reported) begins with `text`, in whatever case; or whose
        MAC is `mac`.

        Two searches put together: of a condition over both tables the database could use no index.
        """
        known = Q(mac_address=mac) if mac else Q()
        for field in SEARCHED_FIELDS:
            known |= Q(**{f"{field}__istartswith": text})
        reported = Miner.objects.filter(live__worker_name__istartswith=text)
        return self.filter(pk__in=Miner.objects.filter(known).order_by().values("pk").union(reported.order_by().values("pk")))

    def polled(self, site: Site) -> MinerQuerySet:
        """The miners of `site` that a poll round reads."""
        return self.filter(site=site, is_enabled=True).exclude(ip_address="")

    def with_state(self, now: datetime) -> MinerQuerySet:
        """Adds `state`, a MinerState.

        A miner that was reported unreachable stays offline while its collector waits before it tries again; one that was well and is no
        longer heard of for three intervals of its site is stale.
        """
        silent = _silent(now)
        return self.annotate(
            state=Case(
                When(is_enabled=False, then=Value(MinerState.DISABLED)),
                When(live__isnull=True, then=Value(MinerState.NEVER)),
                When(live__online=False, then=Value(MinerState.OFFLINE)),
                When(silent, then=Value(MinerState.STALE)),
                When(live__mining_state="sleeping", then=Value(MinerState.SLEEPING)),
                default=Value(MinerState.ONLINE),
                output_field=models.CharField(max_length=10),
            )
        )

    def in_state(self, state: str, now: datetime) -> MinerQuerySet:
        """The miners that `with_state` gives this state. By plain columns: of those the database knows how many rows they leave."""
        silent = _silent(now)
        known = Q(is_enabled=True, live__online=True)
        heard, asleep = known & ~silent, Q(live__mining_state="sleeping")
        conditions = {
            MinerState.DISABLED: Q(is_enabled=False),
            MinerState.NEVER: Q(is_enabled=True, live__isnull=True),
            MinerState.OFFLINE: Q(is_enabled=True, live__online=False),
            MinerState.STALE: known & silent,
            MinerState.SLEEPING: heard & asleep,
            MinerState.ONLINE: heard & ~asleep,
        }
        return self.filter(conditions[MinerState(state)]) if state in conditions else self.none()

    def with_expectation(self) -> MinerQuerySet:
        """Adds `expected_ghs`, what the miner says it should do or else its nameplate, and `delivered_percent` of it; None when unknown."""
        return self.annotate(
            expected_ghs=Coalesce("live__hashrate_expected_ghs", "model__hashrate_ghs"),
            delivered_percent=Case(
                When(Q(expected_ghs__gt=0), then=F("live__hashrate_ghs") * 100.0 / F("expected_ghs")),
                output_field=models.FloatField(null=True),
            ),
        )

    def with_loss(self) -> MinerQuerySet:
        """Adds `lost_ghs`: what is expected and not delivered, all of it where a miner is away. After the two above."""
        delivered = Case(When(state=MinerState.ONLINE, then=Coalesce("live__hashrate_ghs", 0.0)), default=0.0)
        return self.annotate(lost_ghs=Coalesce(F("expected_ghs"), 0.0, output_field=models.FloatField()) - delivered)


class Miner(models.Model):
    """One machine: what it is, where it stands and how it is reached. What it reports is telemetry's."""

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.PROTECT, related_name="miners")
    miner_id = models.CharField(_("miner ID"), max_length=50, help_text=_("Its name on the wire, unique in the site."))

    model = models.ForeignKey(MinerModel, verbose_name=_("model"), on_delete=models.SET_NULL, null=True, blank=True, related_name="miners")
    ip_address = models.CharField(
        _("address"), max_length=255, blank=True, help_text=_("IP address or host name; empty when only the collector knows it.")
    )
    port = models.PositiveIntegerField(_("port"), default=4028, validators=[MinValueValidator(1), MaxValueValidator(65_535)])
    serial_number = models.CharField(_("serial number"), max_length=64, blank=True)
    mac_address = models.CharField(_("MAC address"), max_length=17, blank=True)
    worker_name = models.CharField(_("expected worker"), max_length=100, blank=True)
    zone = models.CharField(_("zone"), max_length=50, blank=True)
    rack = models.CharField(_("rack"), max_length=50, blank=True)
    slot = models.CharField(_("slot"), max_length=50, blank=True)
    is_enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: not polled and not counted."))
    tags = models.ManyToManyField(MinerTag, verbose_name=_("tags"), blank=True, related_name="miners")
    notes = models.TextField(_("notes"), blank=True)

    discovered = models.BooleanField(
        _("discovered"), default=False, editable=False, help_text=_("Registered by an upload or a scan, not by a person.")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = MinerQuerySet.as_manager()
    changes = ChangeRecords(excluded_fields=["discovered", "created_at"], m2m_fields=[tags])

    class Meta:
        ordering = ["site", "miner_id"]
        verbose_name = _("miner")
        verbose_name_plural = _("miners")
        constraints = [models.UniqueConstraint(fields=["site", "miner_id"], name="miner_id_unique_in_site")]
        indexes = [
            models.Index(fields=["serial_number"], name="miner_serial_number"),  # search and discovery
            models.Index(fields=["mac_address"], name="miner_mac_address"),  # search and discovery
            models.Index(fields=["ip_address"], name="miner_ip_address"),  # search
            models.Index(fields=["site", "zone", "rack"], name="miner_place"),  # floor map
        ]

    def __str__(self) -> str:
        return self.miner_id

    @property
    def place(self) -> str:
        """Zone, rack and slot, as far as they are known."""
        return " / ".join(part for part in (self.zone, self.rack, self.slot) if part)


class InventoryImport(models.Model):
    """One file of miners that was uploaded in the console, and how far it is stored."""

    class State(models.TextChoices):
        CHECKED = "checked", _("looked at")
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="imports")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.SET_NULL, null=True, related_name="+")
    file_name = models.CharField(_("file"), max_length=200)
    content = models.BinaryField(editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.CHECKED)
    to_store = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(_("added"), default=0)
    updated = models.PositiveIntegerField(_("updated"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    refused = models.PositiveIntegerField(_("rows left out"), default=0)
    errors = models.JSONField(default=list, help_text="[row, column, reason], the first of them.")
    message = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(_("uploaded"), auto_now_add=True)
    touched_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        db_table = "inventory_imports"
        ordering = ["-created_at"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        default_permissions = ()

    def __str__(self) -> str:
        return self.file_name


class NetworkSearch(models.Model):
    """One search of address ranges that was asked for in the console, what it found, and whether the inventory was brought up to date."""

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("searching")
        FOUND = "found", _("to be looked at")
        STORED = "stored", _("taken into the inventory")
        FAILED = "failed", _("failed")

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="searches")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.SET_NULL, null=True, related_name="+")
    ranges = models.CharField(_("address ranges"), max_length=500)
    port = models.PositiveIntegerField(_("port"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    to_ask = models.PositiveIntegerField(default=0)
    asked = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(_("miners found"), default=0)
    found = models.JSONField(default=list, help_text="What each machine says it is; miners.searches writes and reads them.")
    denied = models.JSONField(default=list, help_text="Addresses that hang up at once, the first of them.")
    message = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(_("asked for"), auto_now_add=True)
    touched_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "network_searches"
        ordering = ["-created_at"]
        verbose_name = _("search for miners")
        verbose_name_plural = _("searches for miners")
        default_permissions = ()

    def __str__(self) -> str:
        return self.ranges
