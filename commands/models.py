"""What operators asked miners to do, and what became of it. Only `commands.dispatch` changes a command's status."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner
from sites.models import Site


class CommandType(models.TextChoices):
    ENABLE = "enable", _("enable")
    DISABLE = "disable", _("disable")
    RESTART = "restart", _("restart mining")
    REBOOT = "reboot", _("reboot")
    SET_POOL = "set_pool", _("set pool")
    SET_FAN = "set_fan", _("set fan")
    SET_FREQUENCY = "set_frequency", _("set frequency")


class CommandStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    SENT = "sent", _("sent")
    EXECUTING = "executing", _("executing")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    EXPIRED = "expired", _("expired")
    CANCELLED = "cancelled", _("cancelled")


OPEN_STATUSES = (CommandStatus.PENDING, CommandStatus.SENT, CommandStatus.EXECUTING)


class Verification(models.TextChoices):
    UNKNOWN = "unknown", _("unknown")
    VERIFIED = "verified", _("verified")
    NOT_VERIFIED = "not_verified", _("not verified")


class MinerCommandQuerySet(models.QuerySet["MinerCommand"]):
    def open(self) -> MinerCommandQuerySet:
        return self.filter(status__in=OPEN_STATUSES)


class MinerCommand(models.Model):
    """One command for one miner: who asked, why, how often it was handed out, what was answered, what the telemetry proves."""

    command_id = models.UUIDField(_("command ID"), primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="commands")
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, related_name="commands")
    command = models.CharField(_("command"), max_length=20, choices=CommandType.choices)
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher goes first."))
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("requested by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="miner_commands",
    )

    status = models.CharField(_("status"), max_length=10, choices=CommandStatus.choices, default=CommandStatus.PENDING, editable=False)
    created_at = models.DateTimeField(_("asked"), editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)
    sent_at = models.DateTimeField(_("first sent"), null=True, editable=False)
    leased_until = models.DateTimeField(_("leased until"), null=True, editable=False)
    deliveries = models.PositiveSmallIntegerField(_("deliveries"), default=0, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    result_code = models.SmallIntegerField(_("result code"), null=True, editable=False)
    result_message = models.CharField(_("result"), max_length=500, blank=True, editable=False)
    verification = models.CharField(
        _("verification"), max_length=12, choices=Verification.choices, default=Verification.UNKNOWN, editable=False
    )

    objects = MinerCommandQuerySet.as_manager()

    class Meta:
        db_table = "miner_commands"
        ordering = ["-created_at"]
        verbose_name = _("command")
        verbose_name_plural = _("commands")
        indexes = [
            models.Index(fields=["site", "status", "-priority", "created_at"], name="command_queue"),  # what to hand out next
            models.Index(fields=["miner", "-created_at"], name="command_of_miner"),  # a miner's timeline
            models.Index(fields=["status", "created_at"], name="command_status"),  # retention, expiry
        ]

    def __str__(self) -> str:
        return f"{self.command} {self.miner_id}"
