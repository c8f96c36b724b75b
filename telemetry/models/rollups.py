"""Readings summed up by five minutes, hour and day, and what of that is due."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner
from sites.models import Site
from telemetry.fields import RealField


class Rollup(models.Model):
    """What one bucket of time holds. `expected` is how many readings the interval asks for; fewer `samples` are missing data.

    Only online readings measure, so `online_samples` of 0 beside `samples` means "off", and a value of 0 means that 0 was reported.
    """

    bucket = models.DateTimeField(_("begins"))
    samples = models.IntegerField(_("readings"))
    expected = models.IntegerField(_("readings expected"))
    online_samples = models.IntegerField(_("online readings"))
    hashrate_ghs_min = RealField(_("hash rate min, GH/s"), null=True)
    hashrate_ghs_avg = RealField(_("hash rate avg, GH/s"), null=True)
    hashrate_ghs_max = RealField(_("hash rate max, GH/s"), null=True)
    hashrate_ghs_last = RealField(_("hash rate last, GH/s"), null=True)
    temperature_max_min = RealField(_("temperature min, °C"), null=True)
    temperature_max_avg = RealField(_("temperature avg, °C"), null=True)
    temperature_max_max = RealField(_("temperature max, °C"), null=True)
    temperature_max_last = RealField(_("temperature last, °C"), null=True)
    power_consumption_min = RealField(_("power min, W"), null=True)
    power_consumption_avg = RealField(_("power avg, W"), null=True)
    power_consumption_max = RealField(_("power max, W"), null=True)
    power_consumption_last = RealField(_("power last, W"), null=True)
    hashrate_expected_ghs_avg = RealField(_("expected hash rate, GH/s"), null=True)
    fan_speed_avg_avg = RealField(_("fan speed avg, rpm"), null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.pk[0]} {self.bucket:%Y-%m-%d %H:%M}"


class MinerRollup(Rollup):
    """One miner over one bucket. "Last" is what its last reading in the bucket said."""

    pk = models.CompositePrimaryKey("miner_id", "bucket")
    miner = models.ForeignKey(
        Miner, verbose_name=_("miner"), on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )

    class Meta:
        abstract = True


class SiteRollup(Rollup):
    """One site over one bucket: hash rates and powers of its miners added up, their temperatures side by side.

    In a bucket of five minutes "min" and "max" add up each miner's own extremes, so the site's true value lies between them.
    """

    pk = models.CompositePrimaryKey("site_id", "bucket")
    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, db_index=False, related_name="+")
    miners = RealField(_("miners heard of"))
    miners_online = RealField(_("miners online"))

    class Meta:
        abstract = True


class MinerRollup5m(MinerRollup):
    class Meta:
        db_table = "miner_rollup_5m"


class MinerRollup1h(MinerRollup):
    class Meta:
        db_table = "miner_rollup_1h"


class MinerRollup1d(MinerRollup):
    class Meta:
        db_table = "miner_rollup_1d"


class SiteRollup5m(SiteRollup):
    class Meta:
        db_table = "site_rollup_5m"


class SiteRollup1h(SiteRollup):
    class Meta:
        db_table = "site_rollup_1h"


class SiteRollup1d(SiteRollup):
    class Meta:
        db_table = "site_rollup_1d"


class RollupDue(models.Model):
    """One bucket of one site whose roll-up is behind its readings. Written with the readings, removed with the roll-up.

    `version` grows with every batch: a roll-up that saw an older version leaves the row, so nothing that arrives meanwhile is missed.
    """

    pk = models.CompositePrimaryKey("resolution", "site_id", "bucket")
    resolution = models.CharField(max_length=2)
    site = models.ForeignKey(Site, on_delete=models.CASCADE, db_index=False, related_name="+")
    bucket = models.DateTimeField()
    version = models.BigIntegerField(db_default=1)
    due_at = models.DateTimeField()

    class Meta:
        db_table = "rollup_due"

    def __str__(self) -> str:
        return f"{self.resolution} {self.site_id} {self.bucket:%Y-%m-%d %H:%M}"
