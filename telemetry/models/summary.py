"""What a site's newest readings add up to."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from sites.models import Site


class SiteSummary(models.Model):
    """What the newest readings of one site's miners add up to, kept so that a page need not add up 100,000 rows.

    Refreshed by ingest and by the roll-up of every minute; it goes out of date by itself as miners fall silent, so a reader looks at
    `computed_at`.
    """

    site = models.OneToOneField(Site, verbose_name=_("site"), on_delete=models.CASCADE, primary_key=True, related_name="summary")
    computed_at = models.DateTimeField(_("computed"), null=True)
    cost_ms = models.FloatField(_("took, ms"), db_default=0)
    behind = models.BooleanField(db_default=False)
    """Live rows have changed since it was computed."""
    miners_total = models.PositiveIntegerField(_("miners"), db_default=0)
    online = models.PositiveIntegerField(_("online"), db_default=0)
    sleeping = models.PositiveIntegerField(_("sleeping"), db_default=0)
    offline = models.PositiveIntegerField(_("offline"), db_default=0)
    stale = models.PositiveIntegerField(_("stale"), db_default=0)
    never_seen = models.PositiveIntegerField(_("never seen"), db_default=0)
    mining = models.PositiveIntegerField(_("mining"), db_default=0)
    healthy = models.PositiveIntegerField(_("healthy"), db_default=0)
    degraded = models.PositiveIntegerField(_("degraded"), db_default=0)
    critical = models.PositiveIntegerField(_("critical"), db_default=0)
    hashrate_ghs = models.FloatField(_("hash rate, GH/s"), null=True)
    hashrate_expected_ghs = models.FloatField(_("expected hash rate, GH/s"), null=True)
    power_consumption = models.FloatField(_("power, W"), null=True)
    power_nameplate = models.FloatField(_("power by nameplate, W"), null=True, help_text=_("Of miners that hash and report no power."))
    powered_hashrate_ghs = models.FloatField(_("hash rate of miners whose power is known, GH/s"), null=True)
    temperature_avg = models.FloatField(_("temperature avg, °C"), null=True)
    temperature_max = models.FloatField(_("temperature max, °C"), null=True)
    newest_reading_at = models.DateTimeField(_("newest reading"), null=True)

    class Meta:
        db_table = "site_telemetry_summary"
        verbose_name = _("site summary")
        verbose_name_plural = _("site summaries")

    def __str__(self) -> str:
        return f"{self.site_id}: {self.online}/{self.miners_total}"
