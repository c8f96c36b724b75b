"""Alerts: one row an incident, its miners beside it, and everything that happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from alerts.models.rules import AlertRule, Severity
from miners.models import Miner
from sites.models import Site

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> AlertQuerySet:
        """Open or acknowledged: what is not over."""
        return self.filter(resolved_at=None)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> AlertQuerySet:
        """A superuser sees all, other staff those of their sites; what concerns the server and no site is for superusers."""
        if getattr(user, "is_superuser", False) and user.is_active:
            return self
        return self.filter(site__in=Site.objects.visible_to(user))


class Alert(models.Model):
    """One incident: a rule's condition holds for one miner, for many that stand or hang together, for a site, or for this server.

    `scope` says what fails and `scope_key` which one, e.g. ("rack", "A/R07"); for a single miner its primary key. Together with rule and
    site they name an incident: it is open once. The miners it is about are its `members`.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        ACKNOWLEDGED = "acknowledged", _("acknowledged")
        RESOLVED = "resolved", _("resolved")

    class Scope(models.TextChoices):
        MINER = "miner", _("miner")
        RACK = "rack", _("rack")
        ZONE = "zone", _("zone")
        SUBNET = "subnet", _("subnet")
        POOL = "pool", _("pool")
        SITE = "site", _("site")
        SYSTEM = "system", _("this server")

    rule = models.ForeignKey(AlertRule, verbose_name=_("rule"), on_delete=models.CASCADE, related_name="alerts")
    site = models.ForeignKey(Site, verbose_name=_("site"), on_delete=models.CASCADE, null=True, related_name="alerts")
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, null=True, related_name="alerts")
    scope = models.CharField(_("concerns"), max_length=10, choices=Scope.choices)
    scope_key = models.CharField(_("which"), max_length=255, blank=True)
    state = models.CharField(_("state"), max_length=15, choices=State.choices, default=State.OPEN)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity.choices)
    value = models.FloatField(_("worst value"), null=True, help_text=_("In the unit of the rule's threshold."))
    member_count = models.PositiveIntegerField(_("miners"), default=0)
    details = models.JSONField(_("details"), default=dict, blank=True)
    is_silenced = models.BooleanField(_("silenced"), default=False)
    is_flapping = models.BooleanField(_("flapping"), default=False)

    opened_at = models.DateTimeField(_("opened"))
    changed_at = models.DateTimeField(_("last change"))
    seen_at = models.DateTimeField(_("last seen"))
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("acknowledged by"), on_delete=models.SET_NULL, null=True, related_name="+"
    )
    resolved_at = models.DateTimeField(_("resolved"), null=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at"]
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        indexes = [
            models.Index(fields=["site", "-opened_at"], name="alert_of_site"),  # a site's alerts, newest first
            models.Index(fields=["miner", "-opened_at"], name="alert_of_miner"),  # a miner's timeline
            models.Index(fields=["resolved_at"], name="alert_resolved"),  # open ones; retention
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "site", "scope", "scope_key"],
                condition=models.Q(resolved_at=None),
                nulls_distinct=False,
                name="one_open_alert_an_incident",
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.scope} {self.scope_key} {self.opened_at:%Y-%m-%d %H:%M}"


class AlertMember(models.Model):
    """One miner that an alert is about, while `left_at` is NULL; one that recovered, or moved to another alert, has left."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="members")
    miner = models.ForeignKey(Miner, verbose_name=_("miner"), on_delete=models.CASCADE, related_name="alert_members")
    joined_at = models.DateTimeField(_("since"))
    left_at = models.DateTimeField(_("until"), null=True)
    value = models.FloatField(_("value"), null=True)

    class Meta:
        verbose_name = _("miner of an alert")
        verbose_name_plural = _("miners of an alert")
        constraints = [
            models.UniqueConstraint(fields=["alert", "miner"], condition=models.Q(left_at=None), name="a_miner_once_in_an_alert")
        ]

    def __str__(self) -> str:
        return f"{self.alert_id}: {self.miner_id}"


class AlertEvent(models.Model):
    """One thing that happened to an alert: its timeline, and the outbox of notifications.

    `routed_at` is when the channels that tell of it were chosen.
    """

    class Kind(models.TextChoices):
        OPENED = "opened", _("opened")
        GREW = "grew", _("more miners")
        SHRANK = "shrank", _("fewer miners")
        MERGED = "merged", _("joined a larger alert")
        SPLIT = "split", _("split off a larger alert")
        ACKNOWLEDGED = "acknowledged", _("acknowledged")
        COMMENTED = "commented", _("comment")
        ESCALATED = "escalated", _("escalated")
        FLAPPING = "flapping", _("flapping")
        ACTED = "acted", _("action taken")
        WOULD_ACT = "would_act", _("action that would have been taken")
        RESOLVED = "resolved", _("resolved")

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(_("at"))
    kind = models.CharField(_("what"), max_length=15, choices=Kind.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("by"), on_delete=models.SET_NULL, null=True, related_name="+")
    text = models.CharField(_("remark"), max_length=500, blank=True)
    details = models.JSONField(default=dict, blank=True)
    routed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["at", "pk"]
        verbose_name = _("event of an alert")
        verbose_name_plural = _("events of alerts")
        indexes = [models.Index(fields=["id"], condition=models.Q(routed_at=None), name="alert_event_unrouted")]  # the outbox

    def __str__(self) -> str:
        return f"{self.alert_id} {self.kind} {self.at:%Y-%m-%d %H:%M:%S}"
