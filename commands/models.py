"""What operators asked miners to do, and what became of it. Only `commands.dispatch` changes a command's status."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models.functions import RowNumber
from django.utils.translation import gettext_lazy as _

from miners.models import Miner
from sites.changes import ChangeRecords
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


DELIVERED_STATUSES = (CommandStatus.SENT, CommandStatus.EXECUTING)
OPEN_STATUSES = (CommandStatus.PENDING, *DELIVERED_STATUSES)


SERVER = "server "
"""What the name of a runner of this server begins with, in `leased_by`."""


class Verification(models.TextChoices):
    UNKNOWN = "unknown", _("unknown")
    VERIFIED = "verified", _("verified")
    NOT_VERIFIED = "not_verified", _("not verified")


class CommandBatch(models.Model):
    """One order for many miners: sent in paced groups, the canary first, stopped by itself when too many fail."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for approval")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        STOPPED = "stopped", _("stopped")
        FINISHED = "finished", _("finished")

    batch_id = models.UUIDField(_("batch ID"), primary_key=True, default=uuid.uuid4, editable=False)
    command = models.CharField(_("command"), max_length=20, choices=CommandType.choices)
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("requested by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="command_batches",
    )
    created_at = models.DateTimeField(_("asked"), editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.RUNNING, editable=False)
    canary_size = models.PositiveIntegerField(_("canary, miners"), default=0)
    group_size = models.PositiveIntegerField(_("group, miners"), default=50)
    pause_seconds = models.PositiveIntegerField(_("pause between groups, s"), default=30)
    megawatts_a_minute = models.FloatField(_("at most, MW a minute"), null=True, blank=True)
    stop_above_percent = models.PositiveSmallIntegerField(
        _("stop when more fail, %"), default=20, help_text=_("Failed, expired or not verified, of those sent.")
    )
    ttl_seconds = models.PositiveIntegerField(
        _("a command expires after, s"), default=900, help_text=_("From the moment its group is released.")
    )
    next_group_at = models.DateTimeField(_("next group"), null=True, editable=False)
    stop_reason = models.CharField(_("stopped because"), max_length=255, blank=True, editable=False)
    approve_until = models.DateTimeField(_("to be approved until"), null=True, editable=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("approved by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )

    class Meta:
        db_table = "command_batches"
        ordering = ["-created_at"]
        verbose_name = _("command batch")
        verbose_name_plural = _("command batches")

    def __str__(self) -> str:
        return f"{self.command} {self.created_at:%Y-%m-%d %H:%M}"


class MinerCommandQuerySet(models.QuerySet["MinerCommand"]):
    def open(self) -> MinerCommandQuerySet:
        return self.filter(status__in=OPEN_STATUSES)

    def overdue(self, now: datetime) -> MinerCommandQuerySet:
        """Open commands whose time is over; it does not run while their batch holds them back."""
        return self.open().filter(expires_at__lte=now, is_released=True)

    def lost(self, now: datetime) -> MinerCommandQuerySet:
        """Commands that this server began to tell a miner, and then said nothing more of: it was stopped in between."""
        return self.open().filter(touched_at__isnull=False, leased_until__lte=now)

    def executable(self, now: datetime) -> MinerCommandQuerySet:
        """What this server may carry out itself: no agent had it, for then the miner may have done it already."""
        return self.offerable(now).filter(models.Q(deliveries=0) | models.Q(leased_by__startswith=SERVER))

    def offerable(self, now: datetime) -> MinerCommandQuerySet:
        """Never handed out, or handed out and unanswered when the lease ended; not held back by their batch.

        A miner with an unanswered command gets only that one: commands reach a miner one at a time and in order. What this server
        itself may have told a miner is never told again.
        """
        in_flight = MinerCommand.objects.filter(miner=models.OuterRef("miner"), status__in=DELIVERED_STATUSES).exclude(
            pk=models.OuterRef("pk")
        )
        waiting = models.Q(status=CommandStatus.PENDING) | models.Q(status__in=DELIVERED_STATUSES, leased_until__lte=now)
        return (
            self.filter(waiting, expires_at__gt=now, is_released=True, touched_at__isnull=True)
            .exclude(models.Exists(in_flight))
            .order_by("-priority", "created_at", "pk")
        )

    def awaiting_verification(self) -> MinerCommandQuerySet:
        """Handed out at least once and not judged yet; a cancelled one never went out."""
        return self.filter(sent_at__isnull=False, verified_at__isnull=True)

    def first_of_each_miner(self) -> MinerCommandQuerySet:
        """One command a miner, the most urgent and then the oldest."""
        turn = models.Window(RowNumber(), partition_by=models.F("miner"), order_by=[models.F("priority").desc(), "created_at", "pk"])
        return self.annotate(turn=turn).filter(turn=1)


class MinerCommand(models.Model):
    """One command for one miner: who asked, why, how often it was handed out, what was answered, what the telemetry proves.

    Only `commands.dispatch` writes the columns that are not editable.
    """

    command_id = models.UUIDField(_("command ID"), primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="commands")
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, related_name="commands")
    command = models.CharField(_("command"), max_length=20, choices=CommandType.choices)
    params = models.JSONField(_("parameters"), default=dict, blank=True, help_text=_("Without secrets."))
    secret_params = models.TextField(blank=True, default="", editable=False)
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
    batch = models.ForeignKey(
        CommandBatch, verbose_name=_("batch"), on_delete=models.SET_NULL, null=True, blank=True, related_name="commands"
    )
    idempotency_key = models.CharField(max_length=100, null=True, blank=True, editable=False)

    status = models.CharField(_("status"), max_length=10, choices=CommandStatus.choices, default=CommandStatus.PENDING, editable=False)
    is_released = models.BooleanField(_("released"), default=True, editable=False, help_text=_("Off while its batch holds it back."))
    created_at = models.DateTimeField(_("asked"), editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)
    sent_at = models.DateTimeField(_("first sent"), null=True, editable=False)
    leased_until = models.DateTimeField(_("leased until"), null=True, editable=False)
    leased_by = models.CharField(_("leased by"), max_length=100, blank=True, editable=False)
    touched_at = models.DateTimeField(
        _("told to the miner"), null=True, editable=False, help_text=_("Written before this server speaks to the miner.")
    )
    deliveries = models.PositiveSmallIntegerField(_("deliveries"), default=0, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    result_code = models.SmallIntegerField(_("result code"), null=True, editable=False)
    result_message = models.CharField(_("result"), max_length=500, blank=True, editable=False)
    result = models.JSONField(_("answer"), default=dict, blank=True, editable=False)

    verification = models.CharField(
        _("verification"), max_length=12, choices=Verification.choices, default=Verification.UNKNOWN, editable=False
    )
    verified_at = models.DateTimeField(_("judged"), null=True, editable=False)
    evidence = models.JSONField(
        _("evidence"), default=dict, blank=True, editable=False, help_text=_("What telemetry showed before and after.")
    )

    objects = MinerCommandQuerySet.as_manager()

    class Meta:
        db_table = "miner_commands"
        ordering = ["-created_at"]
        verbose_name = _("command")
        verbose_name_plural = _("commands")
        constraints = [models.UniqueConstraint(fields=["idempotency_key", "miner"], name="command_asked_once")]
        indexes = [
            models.Index(fields=["site", "status", "-priority", "created_at"], name="command_queue"),  # what to hand out next
            models.Index(fields=["miner", "-created_at"], name="command_of_miner"),  # a miner's timeline
            models.Index(fields=["status", "created_at"], name="command_status"),  # retention, expiry
            models.Index(fields=["sent_at"], condition=models.Q(verified_at__isnull=True), name="command_unjudged"),  # verification
        ]
        permissions = [  # one a command type: what a group may do to miners
            ("can_enable", "Can enable miners"),
            ("can_disable", "Can disable miners"),
            ("can_restart", "Can restart mining"),
            ("can_reboot", "Can reboot miners"),
            ("can_switch_pool", "Can switch pools"),
            ("can_set_fan", "Can set fans"),
            ("can_set_frequency", "Can set frequencies"),
        ]

    def __str__(self) -> str:
        return f"{self.command} {self.miner_id}"


class BatchEvent(models.Model):
    """One thing that happened to a batch. Only ever added to."""

    batch = models.ForeignKey(CommandBatch, verbose_name=_("batch"), on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(_("at"))
    actor = models.CharField(_("who"), max_length=150)
    message = models.CharField(_("what happened"), max_length=500)

    class Meta:
        db_table = "command_batch_events"
        ordering = ["at", "pk"]
        verbose_name = _("batch event")
        verbose_name_plural = _("batch events")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.message}"


class CommandEvent(models.Model):
    """One thing that happened to a command. Only ever added to."""

    command = models.ForeignKey(MinerCommand, verbose_name=_("command"), on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(_("at"))
    actor = models.CharField(_("who"), max_length=150)
    status = models.CharField(_("status"), max_length=10, choices=CommandStatus.choices)
    message = models.CharField(_("what happened"), max_length=500)

    class Meta:
        db_table = "command_events"
        ordering = ["at", "pk"]
        verbose_name = _("command event")
        verbose_name_plural = _("command events")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.message}"


class MinerCredentialQuerySet(models.QuerySet["MinerCredential"]):
    def of_miners(self, miners: Iterable[Miner]) -> dict[int, MinerCredential]:
        """The credential of each miner, its own before its site's, by the miner's primary key."""
        wanted = list(miners)
        found = self.filter(site__in={miner.site_id for miner in wanted})
        by_miner = {credential.miner_id: credential for credential in found if credential.miner_id}
        by_site = {credential.site_id: credential for credential in found if not credential.miner_id}
        both = ((miner.pk, by_miner.get(miner.pk) or by_site.get(miner.site_id)) for miner in wanted)
        return {pk: credential for pk, credential in both if credential}


class MinerCredential(models.Model):
    """The administrator's password of a site's miners, or of one of them. Stored encrypted, never shown."""

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="miner_credentials")
    miner = models.ForeignKey(
        Miner,
        verbose_name=_("miner"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="credentials",
        help_text=_("Empty: all miners of the site that have none of their own."),
    )
    sealed = models.TextField(editable=False)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = MinerCredentialQuerySet.as_manager()
    changes = ChangeRecords(excluded_fields=["sealed"])

    class Meta:
        db_table = "miner_credentials"
        ordering = ["site", "miner"]
        verbose_name = _("miner password")
        verbose_name_plural = _("miner passwords")
        constraints = [
            models.UniqueConstraint(fields=["site"], condition=models.Q(miner__isnull=True), name="one_credential_a_site"),
            models.UniqueConstraint(fields=["miner"], condition=models.Q(miner__isnull=False), name="one_credential_a_miner"),
        ]

    def __str__(self) -> str:
        return str(self.miner or self.site)


class ApprovalRule(models.Model):
    """Which orders for a site a second person must approve."""

    site = models.OneToOneField(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="approval_rule")
    commands = models.JSONField(_("commands"), default=list, blank=True, help_text=_("Types that always need approval."))
    above_miners = models.PositiveIntegerField(
        _("above, miners"), null=True, blank=True, help_text=_("Orders for more miners need approval, whatever their type.")
    )
    valid_minutes = models.PositiveIntegerField(_("to be approved within, minutes"), default=60)

    changes = ChangeRecords()

    class Meta:
        db_table = "command_approval_rules"
        verbose_name = _("two-person rule")
        verbose_name_plural = _("two-person rules")

    def __str__(self) -> str:
        return str(self.site)
