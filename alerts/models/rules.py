"""Rules: which condition is an alert, where, after how long, and when it is over. And silences: where nobody wants to hear of it."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from commands.models import CommandType
from miners.models import Miner, MinerModel, MinerTag
from sites.changes import ChangeRecords
from sites.models import Site


class Severity(models.TextChoices):
    INFO = "info", _("notice")
    WARNING = "warning", _("warning")
    CRITICAL = "critical", _("critical")


class RuleKind(models.TextChoices):
    """What a rule looks at. The unit of its threshold stands beside each."""

    MINER_OFFLINE = "miner_offline", _("miner offline")  # rounds missed
    HASHRATE_LOW = "hashrate_low", _("hash rate low")  # % of expected
    TEMPERATURE_HIGH = "temperature_high", _("temperature high")  # °C
    FAN_FAILED = "fan_failed", _("fan failed")  # rpm below which a fan stands
    BOARD_LOST = "board_lost", _("hashboard lost")  # boards missing
    CHIPS_LOST = "chips_lost", _("chips lost")  # % of the chips
    REJECTS_HIGH = "rejects_high", _("many rejected shares")  # % of the shares since the last look
    WRONG_POOL = "wrong_pool", _("wrong pool")  # no threshold
    WRONG_WORKER = "wrong_worker", _("wrong worker")  # no threshold
    REBOOT_LOOP = "reboot_loop", _("reboot loop")  # restarts within the rule's minutes, which are its window and no hold
    POWER_HIGH = "power_high", _("power high")  # % of the nameplate
    CLOCK_SKEW = "clock_skew", _("clock is wrong")  # s
    COLLECTOR_SILENT = "collector_silent", _("collector silent")  # intervals of the site
    POLLER_STOPPED = "poller_stopped", _("poller stopped")  # intervals of the site
    SCHEDULER_STOPPED = "scheduler_stopped", _("scheduler stopped")  # minutes
    COVERAGE_LOW = "coverage_low", _("data coverage low")  # % of the last hour's readings
    SITE_HASHRATE_STEP = "site_hashrate_step", _("site hash rate fell at once")  # % from one look to the next
    SITE_POWER_STEP = "site_power_step", _("site power jumped")  # % from one look to the next
    DISK_LOW = "disk_low", _("disk nearly full")  # % free
    PARTITIONS_LOW = "partitions_low", _("partitions run out")  # days made ahead
    BREAKER_OPEN = "breaker_open", _("breaker open")  # no threshold
    COMMAND_NOT_VERIFIED = "command_not_verified", _("command not verified")  # commands within the rule's minutes, as above


class AlertRule(models.Model):
    """One condition that is worth a word. It holds for all miners in its scope: an empty part of the scope means "every one".

    `threshold` is in the unit that its kind says. Where `threshold_from_model` is set, a miner's model replaces it if it knows the figure.
    """

    class ActionMode(models.TextChoices):
        OFF = "off", _("no action")
        DRY_RUN = "dry_run", _("only say what would be done")
        LIVE = "live", _("act")

    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True, help_text=_("Empty: the name of its kind."))
    kind = models.CharField(_("condition"), max_length=30, choices=RuleKind.choices)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity.choices, default=Severity.WARNING)

    threshold = models.FloatField(_("threshold"), null=True, blank=True)
    threshold_from_model = models.BooleanField(_("threshold from the miner's model, where known"), default=False)
    for_minutes = models.PositiveIntegerField(_("for at least, min"), default=0, help_text=_("Raised when it holds this long."))
    clear_margin = models.FloatField(
        _("clear margin"), default=0, help_text=_("How far on the good side of the threshold a value must be before the alert is over.")
    )
    clear_minutes = models.PositiveIntegerField(_("over after, min"), default=2, help_text=_("Resolved when it is good for this long."))

    sites = models.ManyToManyField(Site, verbose_name=_("sites"), blank=True, related_name="+")
    miner_models = models.ManyToManyField(MinerModel, verbose_name=_("miner models"), blank=True, related_name="+")
    tags = models.ManyToManyField(MinerTag, verbose_name=_("tags"), blank=True, related_name="+")
    racks = models.JSONField(_("racks"), default=list, blank=True, help_text=_("Names of racks, or zone/rack."))
    expected_pools = models.JSONField(
        _("expected pools"),
        default=list,
        blank=True,
        help_text=_("Hosts of pools that are right, for “wrong pool”. Empty: those that a fifth of the site's miners use."),
    )

    group_from = models.PositiveIntegerField(
        _("one alert from, miners"),
        default=3,
        validators=[MinValueValidator(2)],
        help_text=_("So many miners of a rack, zone, subnet, pool or site together are one alert."),
    )
    group_percent = models.PositiveSmallIntegerField(
        # xgettext:no-python-format
        _("one alert from, % of them"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
    )

    action = models.CharField(_("action"), max_length=20, choices=CommandType.choices, blank=True)
    action_mode = models.CharField(_("action is"), max_length=10, choices=ActionMode.choices, default=ActionMode.OFF)
    action_cooldown_minutes = models.PositiveIntegerField(_("once a miner in, min"), default=60)
    action_daily_cap = models.PositiveIntegerField(_("at most a day"), default=20)

    changes = ChangeRecords(m2m_fields=[sites, miner_models, tags])

    class Meta:
        ordering = ["kind", "slug"]
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return self.name or str(self.get_kind_display())


class SilenceQuerySet(models.QuerySet["Silence"]):
    def at(self, now: datetime) -> SilenceQuerySet:
        return self.filter(starts_at__lte=now, ends_at__gt=now)


class Silence(models.Model):
    """A time in which nobody is told of some alerts. They are still raised and shown, marked as silenced.

    In a maintenance window miners are taken out altogether: whatever they do there raises nothing.
    """

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, null=True, blank=True, related_name="silences")
    zone = models.CharField(_("zone"), max_length=50, blank=True)
    rack = models.CharField(_("rack"), max_length=50, blank=True)
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, null=True, blank=True, related_name="silences")
    rule = models.ForeignKey(AlertRule, verbose_name=_("rule"), on_delete=models.CASCADE, null=True, blank=True, related_name="silences")
    is_maintenance = models.BooleanField(_("maintenance"), default=False)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=255)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("made by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )

    objects = SilenceQuerySet.as_manager()
    changes = ChangeRecords()

    class Meta:
        ordering = ["-starts_at"]
        verbose_name = _("silence")
        verbose_name_plural = _("silences and maintenance")
        constraints = [models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="silence_ends_after_it_starts")]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:%M} – {self.ends_at:%Y-%m-%d %H:%M}: {self.reason}"
