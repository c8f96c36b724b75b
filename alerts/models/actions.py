"""What rules did to miners, or would have done."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from alerts.models.alerts import Alert
from alerts.models.rules import AlertRule
from commands.models import CommandType, MinerCommand
from miners.models import Miner


class AlertAction(models.Model):
    """One action of a rule on one miner: done by `command`, only said, or refused. The cool-down and the daily cap count these."""

    class Outcome(models.TextChoices):
        ACTED = "acted", _("command sent")
        WOULD_ACT = "would_act", _("dry run")
        REFUSED = "refused", _("refused")

    rule = models.ForeignKey(AlertRule, verbose_name=_("rule"), on_delete=models.CASCADE, db_index=False, related_name="actions")
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, related_name="alert_actions")
    alert = models.ForeignKey(Alert, verbose_name=_("alert"), on_delete=models.CASCADE, related_name="actions")
    action = models.CharField(_("action"), max_length=20, choices=CommandType.choices)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices)
    command = models.ForeignKey(MinerCommand, verbose_name=_("command"), on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        db_table = "alert_actions"
        ordering = ["-at", "-pk"]
        verbose_name = _("action of an alert rule")
        verbose_name_plural = _("actions of alert rules")
        indexes = [models.Index(fields=["rule", "-at"], name="alert_action_of_rule")]  # cool-down and daily cap

    def __str__(self) -> str:
        return f"{self.action} {self.miner_id} {self.at:%Y-%m-%d %H:%M}"
