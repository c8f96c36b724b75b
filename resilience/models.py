"""Who runs which job, and the last good value of what is fetched from outside, across processes and machines."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class JobLease(models.Model):
    """The right to run one job, and how its last run went. Claimed by a conditional update."""

    name = models.CharField(_("job"), max_length=100, primary_key=True)
    owner = models.CharField(_("owner"), max_length=100, blank=True)
    expires_at = models.DateTimeField(_("lease ends"), null=True)
    started_at = models.DateTimeField(_("last start"), null=True)
    finished_at = models.DateTimeField(_("last end"), null=True)
    succeeded_at = models.DateTimeField(_("last success"), null=True)
    duration_ms = models.FloatField(_("duration, ms"), null=True)
    error = models.CharField(_("last error"), max_length=500, blank=True)
    result = models.CharField(_("last result"), max_length=500, blank=True)
    dropped = models.PositiveIntegerField(
        _("runs dropped"), default=0, help_text=_("Runs that began too late or found another one at work.")
    )

    class Meta:
        db_table = "job_leases"
        ordering = ["name"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")

    def __str__(self) -> str:
        return self.name


class KeptValue(models.Model):
    """The last good value of something fetched from elsewhere, and the right to fetch it again. Claimed by a conditional update."""

    key = models.CharField(_("key"), max_length=100, primary_key=True)
    value = models.JSONField(_("value"), null=True)
    fetched_at = models.DateTimeField(_("fetched"), null=True, help_text=_("Empty: it was never fetched."))
    claimed_until = models.DateTimeField(_("not fetched again before"), null=True)

    class Meta:
        db_table = "kept_values"
        verbose_name = _("kept value")
        verbose_name_plural = _("kept values")

    def __str__(self) -> str:
        return self.key
