"""What the poller remembers."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner


class MinerPollState(models.Model):
    """What the poller remembers of one miner between rounds. Written when it changes, not at every round."""

    miner = models.OneToOneField(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, primary_key=True, related_name="poll_state")
    consecutive_failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    last_error_type = models.CharField(_("last error type"), max_length=30, blank=True)
    last_error_message = models.CharField(_("last error"), max_length=500, blank=True)
    last_success_at = models.DateTimeField(_("last success"), null=True)
    joined_reads = models.BooleanField(_("answers joined commands"), null=True, help_text=_("Unknown until it was tried."))

    class Meta:
        db_table = "miner_poll_state"
        verbose_name = _("poll state")
        verbose_name_plural = _("poll states")

    def __str__(self) -> str:
        return f"{self.miner_id}: {self.consecutive_failures}"


class MinerRawReply(models.Model):
    """What one miner last sent word for word, as far as it was kept: once an hour, and whenever it could not be read.

    Passwords and keys are blacked out before it comes here.
    """

    miner = models.OneToOneField(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, primary_key=True, related_name="raw_reply")
    received_at = models.DateTimeField(_("received at"))
    error_message = models.CharField(_("error"), max_length=500, blank=True, help_text=_("Why it could not be read; empty when it could."))
    replies = models.BinaryField(_("replies"), help_text=_("Compressed; telemetry.raw_replies packs and unpacks them."))

    class Meta:
        db_table = "miner_raw_reply"
        verbose_name = _("raw reply")
        verbose_name_plural = _("raw replies")

    def __str__(self) -> str:
        return f"{self.miner_id} {self.received_at:%Y-%m-%d %H:%M:%S}"
