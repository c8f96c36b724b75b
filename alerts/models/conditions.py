"""What the evaluation remembers between two looks: which conditions hold, since when, and what counters said. Written when it changes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from alerts.models.rules import AlertRule
from miners.models import Miner
from sites.models import Site


class Condition(models.Model):
    """A rule's condition that holds, or held a moment ago, for one miner, one site, or something of this server that `key` names.

    It holds since `bad_since`; from `raised_at` on, when it held as long as the rule asks, it belongs to an alert. `good_since` is set
    while it is good again but not yet long enough. A reading that is too old to judge by changes nothing. One that somebody resolved by
    hand is `is_dismissed`: it raises nothing until it was good once.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, db_index=False, related_name="conditions")
    miner = models.ForeignKey(Miner, on_delete=models.CASCADE, null=True, related_name="alert_conditions")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, null=True, db_index=False, related_name="+")
    key = models.CharField(max_length=120, blank=True)
    bad_since = models.DateTimeField()
    good_since = models.DateTimeField(null=True)
    raised_at = models.DateTimeField(null=True)
    value = models.FloatField(null=True)
    is_dismissed = models.BooleanField(default=False)

    class Meta:
        db_table = "alert_conditions"
        verbose_name = _("condition of an alert rule")
        verbose_name_plural = _("conditions of alert rules")
        constraints = [
            models.UniqueConstraint(fields=["rule", "miner"], condition=models.Q(miner__isnull=False), name="one_condition_a_miner"),
            models.UniqueConstraint(
                fields=["rule", "site", "key"], condition=models.Q(miner=None), nulls_distinct=False, name="one_condition_a_subject"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.miner_id or self.key or self.site_id}"


class MinerLook(models.Model):
    """What a miner's counters said when last looked at. `booted_at` moves when it restarts, the shares each ten minutes."""

    miner = models.OneToOneField(Miner, on_delete=models.CASCADE, primary_key=True, related_name="look")
    booted_at = models.DateTimeField(null=True)
    shares_at = models.DateTimeField(null=True)
    accepted_shares = models.BigIntegerField(null=True)
    rejected_shares = models.BigIntegerField(null=True)

    class Meta:
        db_table = "alert_looks"
        verbose_name = _("last look at a miner")
        verbose_name_plural = _("last looks at miners")

    def __str__(self) -> str:
        return str(self.miner_id)


class MinerRestart(models.Model):
    """One restart of a miner, seen by an uptime that began anew. Not written while it is in maintenance."""

    miner = models.ForeignKey(Miner, on_delete=models.CASCADE, db_index=False, related_name="restarts")
    at = models.DateTimeField()

    class Meta:
        db_table = "miner_restarts"
        verbose_name = _("restart of a miner")
        verbose_name_plural = _("restarts of miners")
        indexes = [
            models.Index(fields=["at"], name="restart_at"),  # those within a rule's window
            models.Index(fields=["miner", "at"], name="restart_of_miner"),  # a miner's timeline
        ]

    def __str__(self) -> str:
        return f"{self.miner_id} {self.at:%Y-%m-%d %H:%M}"
