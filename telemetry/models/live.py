"""What each miner's newest reading said."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner, MinerState
from sites.models import Site
from telemetry.models.measurements import Measurements


class Source(models.TextChoices):
    """Which way a reading came in."""

    POLLER = "poller", _("server poll")
    COLLECTOR = "collector", _("collector upload")


class LiveQuerySet(models.QuerySet["MinerTelemetryLive"]):
    def stale(self, now: datetime) -> LiveQuerySet:
        """Miners that were well and then not heard of for three intervals of their site.

        One that was reported unreachable is offline, not stale: its collector waits up to five minutes before it tries again.
        """
        return self.filter(miner__in=Miner.objects.with_state(now).filter(models.Q(state=MinerState.STALE)))

    def of_site(self, site: Site) -> LiveQuerySet:
        """The site's live miners, for a list: enabled ones, with their inventory row."""
        return self.filter(site=site, miner__is_enabled=True).select_related("miner")


class MinerTelemetryLive(Measurements):
    """The newest reading of one miner. Moves only forward in time.

    What was measured is the newest reading's own, NULL when it did not report it (an offline miner measures nothing); model, firmware,
    pool, worker, expected hash rate and number of boards are the last that were known.

    Rewritten at every reading, so it has no index on a changing column and free room on each page (PostgreSQL keeps the updates on the
    page, without touching indexes). Lists stand beside it in `MinerTelemetryDetail`.
    """

    miner = models.OneToOneField(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, primary_key=True, related_name="live")
    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="live_miners")
    timestamp = models.DateTimeField(_("read at"))
    received_at = models.DateTimeField(_("received at"))
    last_online_at = models.DateTimeField(_("last online"), null=True)
    source = models.CharField(_("source"), max_length=10, choices=Source.choices)

    model = models.CharField(_("reported model"), max_length=100, null=True)
    firmware_version = models.CharField(_("firmware"), max_length=50, null=True)
    pool_url = models.CharField(_("pool"), max_length=255, null=True)
    worker_name = models.CharField(_("worker"), max_length=100, null=True)
    error_message = models.CharField(_("error"), max_length=500, null=True)

    objects = LiveQuerySet.as_manager()

    class Meta:
        db_table = "miner_telemetry_live"
        verbose_name = _("live reading")
        verbose_name_plural = _("live readings")

    def __str__(self) -> str:
        return f"{self.miner_id} {self.timestamp:%Y-%m-%d %H:%M:%S}"


class MinerTelemetryDetail(models.Model):
    """The lists of a miner's newest reading: boards, chips, fans, pools, error codes; JSON, in the wire's shape."""

    miner = models.OneToOneField(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, primary_key=True, related_name="detail")
    timestamp = models.DateTimeField(_("read at"))
    boards = models.TextField(_("boards"), default="[]")
    temperature_chips = models.TextField(_("chip temperatures"), default="[]")
    fan_speeds = models.TextField(_("fans"), default="[]")
    pools = models.TextField(_("pools"), default="[]")
    error_codes = models.TextField(_("error codes"), default="[]")

    class Meta:
        db_table = "miner_telemetry_detail"
        verbose_name = _("live detail")
        verbose_name_plural = _("live details")

    def __str__(self) -> str:
        return f"{self.miner_id} {self.timestamp:%Y-%m-%d %H:%M:%S}"
