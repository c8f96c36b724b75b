"""What was told to whom, and what is still to be told."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from alerts.models.alerts import AlertEvent
from alerts.models.channels import ChannelReceiver, NotificationChannel


class DeliveryState(models.TextChoices):
    PENDING = "pending", _("waiting")
    SENT = "sent", _("delivered")
    FAILED = "failed", _("failed, tried again later")
    GIVEN_UP = "given_up", _("given up")


WAITING = (DeliveryState.PENDING, DeliveryState.FAILED)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def waiting(self) -> DeliveryQuerySet:
        """Still to be told."""
        return self.filter(state__in=WAITING)

    def free(self, now: datetime) -> DeliveryQuerySet:
        """Waiting, and nobody is sending it at this moment."""
        return self.waiting().filter(models.Q(claimed_until=None) | models.Q(claimed_until__lte=now))


class Delivery(models.Model):
    """One event of an alert on its way to one channel, or to one person of it. Several that went out together share `message`."""

    event = models.ForeignKey(AlertEvent, verbose_name=_("event"), on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(NotificationChannel, verbose_name=_("channel"), on_delete=models.CASCADE, related_name="deliveries")
    receiver = models.ForeignKey(
        ChannelReceiver, verbose_name=_("receiver"), on_delete=models.CASCADE, null=True, related_name="deliveries"
    )
    members_told = models.PositiveIntegerField(_("miners told of"), default=0)

    state = models.CharField(_("state"), max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    created_at = models.DateTimeField(_("since"))
    next_attempt_at = models.DateTimeField(_("next attempt"))
    claimed_until = models.DateTimeField(null=True, editable=False)
    message = models.UUIDField(_("message"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    last_error = models.CharField(_("last error"), max_length=255, blank=True)
    sent_at = models.DateTimeField(_("delivered"), null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = pgettext_lazy("of an alert", "delivery")
        verbose_name_plural = pgettext_lazy("of alerts", "deliveries")  # of commands it is another word in Chinese
        indexes = [
            # what is due
            models.Index(fields=["next_attempt_at"], condition=models.Q(state__in=["pending", "failed"]), name="delivery_due"),
            models.Index(fields=["channel", "sent_at"], name="delivery_sent"),  # the hourly limit
            models.Index(fields=["created_at"], name="delivery_age"),  # the log by time; retention
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "channel", "receiver"], name="an_event_once_to_a_receiver"),
            models.UniqueConstraint(fields=["event", "channel"], condition=models.Q(receiver=None), name="an_event_once_to_a_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.channel_id}: {self.state}"
