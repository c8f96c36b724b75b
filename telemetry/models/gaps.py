"""What is missing: intervals without readings, and how far a collector's numbers reach."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner
from sites.models import Collector, Site


class TelemetryGap(models.Model):
    """An interval without readings, of one miner or, where `miner` is NULL, of a whole site; open while `ended_at` is NULL.

    While a site is silent its miners get no gaps of their own. Late readings shorten, divide or remove a gap.

    With a `collector` it is what is missing of that collector's numbered readings, whoever else reports in that time: always with an end,
    and gone when the missing numbers arrive.
    """

    class Cause(models.TextChoices):
        COLLECTOR_SILENT = "collector_silent", _("the collector was silent")
        SPOOL_REPLAYING = "spool_replaying", _("the collector is still sending what it kept")
        POLLER_STOPPED = "poller_stopped", _("the poller did not run")
        MINER_OFFLINE = "miner_offline", _("the miner was unreachable")
        DROPPED = "dropped", _("the collector dropped what it kept")
        SEQUENCE_MISSING = "sequence_missing", _("numbered readings never arrived")
        UNKNOWN = "unknown", _("unknown")

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, db_index=False, related_name="gaps")
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, null=True, db_index=False, related_name="gaps")
    started_at = models.DateTimeField(_("last reading before"))
    ended_at = models.DateTimeField(_("first reading after"), null=True)
    cause = models.CharField(_("cause"), max_length=20, choices=Cause.choices, default=Cause.UNKNOWN)
    changed = models.BooleanField(_("got late readings"), default=False)
    collector = models.ForeignKey(
        Collector, verbose_name=_("collector"), on_delete=models.CASCADE, null=True, db_index=False, related_name="gaps"
    )
    epoch = models.PositiveIntegerField(_("numbering"), null=True)
    sequence_start = models.BigIntegerField(_("first number missing"), null=True)
    sequence_end = models.BigIntegerField(_("last number missing"), null=True)
    records = models.BigIntegerField(_("readings missing"), null=True)

    class Meta:
        db_table = "telemetry_gaps"
        ordering = ["-started_at"]
        verbose_name = _("gap")
        verbose_name_plural = _("gaps")
        indexes = [
            models.Index(fields=["site", "started_at"], name="gap_of_site"),  # a site's gaps, those late readings fall into
            models.Index(fields=["miner", "started_at"], name="gap_of_miner"),  # a miner's gaps
            models.Index(  # a collector's missing numbers
                fields=["collector", "sequence_start"], condition=models.Q(collector__isnull=False), name="gap_of_collector"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["miner"], condition=models.Q(ended_at=None), name="one_open_gap_a_miner"),
            models.UniqueConstraint(fields=["site"], condition=models.Q(ended_at=None, miner=None), name="one_open_gap_a_site"),
        ]

    def __str__(self) -> str:
        return f"{self.miner_id or self.site_id}: {self.started_at:%Y-%m-%d %H:%M} – {self.ended_at or '…'}"


class CollectorSequence(models.Model):
    """How far the numbers of one collector's readings reach. What is missing between stands in the ledger of gaps.

    A collector that starts its numbers again has begun a new epoch; gaps of older ones are final.
    """

    collector = models.OneToOneField(Collector, on_delete=models.CASCADE, primary_key=True, related_name="sequence")
    epoch = models.PositiveIntegerField(_("numbering"), default=1)
    epoch_id = models.CharField(_("numbering’s own name"), max_length=64, blank=True)
    lowest = models.BigIntegerField(_("lowest number"), null=True)
    lowest_at = models.DateTimeField(_("time of its reading"), null=True)
    highest = models.BigIntegerField(_("highest number"), null=True)
    highest_at = models.DateTimeField(_("time of its reading"), null=True)

    class Meta:
        db_table = "collector_sequences"

    def __str__(self) -> str:
        return f"{self.collector_id}: {self.highest}"
