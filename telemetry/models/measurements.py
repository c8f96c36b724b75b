"""The numbers of one reading. Columns carry the wire's names and units (GH/s, °C, MHz, W, J/TH, seconds, milliseconds)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from telemetry.fields import RealField


class Measurements(models.Model):
    """The numbers of one reading, shared by the live row and the history row."""

    online = models.BooleanField(_("online"), default=True)
    mining_state = models.CharField(_("mining state"), max_length=12, null=True)
    overall_health = models.CharField(_("health"), max_length=10, null=True)
    hashrate_ghs = models.FloatField(_("hash rate, GH/s"), null=True)
    hashrate_5s_ghs = models.FloatField(_("hash rate 5 s, GH/s"), null=True)
    hashrate_expected_ghs = models.FloatField(_("expected hash rate, GH/s"), null=True)
    temperature_avg = RealField(_("temperature avg, °C"), null=True)
    temperature_min = RealField(_("temperature min, °C"), null=True)
    temperature_max = RealField(_("temperature max, °C"), null=True)
    frequency_avg = RealField(_("frequency, MHz"), null=True)
    power_consumption = RealField(_("power, W"), null=True)
    efficiency = RealField(_("efficiency, J/TH"), null=True)
    accepted_shares = models.BigIntegerField(_("accepted shares"), null=True)
    rejected_shares = models.BigIntegerField(_("rejected shares"), null=True)
    hardware_errors = models.BigIntegerField(_("hardware errors"), null=True)
    uptime_seconds = models.BigIntegerField(_("uptime, s"), null=True)
    pool_latency_ms = RealField(_("pool latency, ms"), null=True)
    latency_ms = RealField(_("latency, ms"), null=True)
    boards_total = models.SmallIntegerField(_("boards"), null=True)
    boards_healthy = models.SmallIntegerField(_("healthy boards"), null=True)
    error_type = models.CharField(_("error type"), max_length=30, null=True)

    class Meta:
        abstract = True
