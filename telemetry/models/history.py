"""Every reading at its own time."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner
from telemetry.fields import RealField
from telemetry.models.measurements import Measurements


class MinerTelemetryHistory(Measurements):
    """One reading of one miner at its own time, kept once whatever is replayed. Partitioned by day on PostgreSQL.

    No foreign key in the database and no surrogate key: billions of rows are written and dropped by the day.
    """

    pk = models.CompositePrimaryKey("miner_id", "timestamp")
    miner = models.ForeignKey(
        Miner, verbose_name=_("miner"), on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="history"
    )
    timestamp = models.DateTimeField(_("read at"))
    fan_speed_avg = RealField(_("fan speed avg, rpm"), null=True)
    """Of the miner's fans. Each one's speed stands in the detail of the newest reading only."""

    class Meta:
        db_table = "miner_telemetry_history"
        verbose_name = _("reading")
        verbose_name_plural = _("readings")

    def __str__(self) -> str:
        return f"{self.miner_id} {self.timestamp:%Y-%m-%d %H:%M:%S}"
