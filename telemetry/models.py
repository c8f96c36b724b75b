"""What miners reported: the newest state of each, and every reading at its own time.

Columns carry the wire's names and units (GH/s, °C, MHz, W, J/TH, seconds, milliseconds). NULL means "not reported", 0 "reported zero".
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from miners.models import Miner, MinerState
from sites.models import Collector, CollectorKey, Site
from telemetry.fields import RealField


class Source(models.TextChoices):
    """Which way a reading came in."""

    POLLER = "poller", _("server poll")
    COLLECTOR = "collector", _("collector upload")


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


class CollectorUploadLog(models.Model):
    """One upload of a collector and what became of it."""

    class Status(models.TextChoices):
        STORED = "stored", _("stored")
        PARTIAL = "partial", _("stored in part")
        REFUSED = "refused", _("refused")

    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, related_name="upload_logs")
    key = models.ForeignKey(CollectorKey, verbose_name=_("key"), on_delete=models.SET_NULL, null=True, related_name="upload_logs")
    upload_time = models.DateTimeField(_("received"), db_index=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    received = models.PositiveIntegerField(_("records"), default=0)
    processed = models.PositiveIntegerField(_("processed"), default=0)
    inserted = models.PositiveIntegerField(_("new miners"), default=0)
    updated = models.PositiveIntegerField(_("updated"), default=0)
    duplicates = models.PositiveIntegerField(_("duplicates"), default=0)
    online = models.PositiveIntegerField(_("online"), default=0)
    offline = models.PositiveIntegerField(_("offline"), default=0)
    error_count = models.PositiveIntegerField(_("refused records"), default=0)
    errors = models.JSONField(_("errors"), default=list, help_text=_("The first refused records: index, field, reason."))
    size_bytes = models.PositiveIntegerField(_("size, bytes"), default=0)
    processing_ms = models.FloatField(_("processing, ms"), default=0)
    client_address = models.GenericIPAddressField(_("from"), null=True)
    device_id = models.CharField(_("device"), max_length=100, blank=True)
    zone_id = models.CharField(_("zone"), max_length=50, blank=True)
    mode = models.CharField(_("mode"), max_length=10, blank=True)
    oldest_reading_at = models.DateTimeField(_("oldest reading"), null=True)
    newest_reading_at = models.DateTimeField(_("newest reading"), null=True)
    sequence_start = models.BigIntegerField(_("first sequence"), null=True)
    sequence_end = models.BigIntegerField(_("last sequence"), null=True)
    sequence_epoch = models.CharField(_("numbering’s own name"), max_length=64, blank=True)
    sequence_due = models.BooleanField(default=False, editable=False)
    """It is numbered, and the ledger of gaps has not taken note of it yet."""

    class Meta:
        db_table = "collector_upload_logs"
        ordering = ["-upload_time", "-pk"]
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        indexes = [
            models.Index(fields=["site", "-upload_time"], name="upload_log_site_time"),  # a site's last uploads
            models.Index(fields=["id"], condition=models.Q(sequence_due=True), name="upload_log_due"),  # the ledger's next work
        ]

    def __str__(self) -> str:
        return f"{self.site_id} {self.upload_time:%Y-%m-%d %H:%M:%S}"


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
