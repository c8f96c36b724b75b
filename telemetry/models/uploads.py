"""The log of what collectors sent."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from sites.models import CollectorKey, Site


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
