"""Who is told, by which way, at what hours: channels and their receivers, and what follows when nobody acknowledges."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from alerts.models.rules import Severity
from commands.secrets import seal, unseal
from sites.changes import ChangeRecords
from sites.models import Site, validate_timezone

SEVERITIES = [Severity.INFO, Severity.WARNING, Severity.CRITICAL]
"""From the least to the worst."""
ADDRESS = "url"


def rank(severity: str) -> int:
    return SEVERITIES.index(Severity(severity))


def severities_from(least: str) -> list[Severity]:
    return SEVERITIES[rank(least) :]


class ChannelKind(models.TextChoices):
    EMAIL = "email", _("e-mail")
    TELEGRAM = "telegram", "Telegram"
    SLACK = "slack", "Slack"
    DISCORD = "discord", "Discord"
    TEAMS = "teams", "Microsoft Teams"
    WEBHOOK = "webhook", _("webhook")
    NTFY = "ntfy", "ntfy"
    GOTIFY = "gotify", "Gotify"
    MATTERMOST = "mattermost", "Mattermost"
    ROCKETCHAT = "rocketchat", "Rocket.Chat"
    MATRIX = "matrix", "Matrix"
    GOOGLE_CHAT = "google_chat", "Google Chat"
    WEBEX = "webex", "Webex"
    DINGTALK = "dingtalk", _("DingTalk")
    FEISHU = "feishu", _("Feishu")
    LARK = "lark", "Lark"
    WECOM = "wecom", _("WeCom")
    PUSHOVER = "pushover", "Pushover"
    PAGERDUTY = "pagerduty", "PagerDuty"


def languages() -> list[tuple[str, Any]]:
    return list(settings.LANGUAGES)


class NotificationChannel(models.Model):
    """One way to tell people: an address, and what is told there, when, how often, in which language.

    The address holds passwords and tokens. It is stored encrypted and is not shown again; `target` is what may be seen of it.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=15, choices=ChannelKind.choices, editable=False)
    sealed = models.TextField(editable=False)
    target = models.CharField(_("goes to"), max_length=255, blank=True, editable=False)
    is_enabled = models.BooleanField(_("enabled"), default=True)

    language = models.CharField(_("language"), max_length=10, choices=languages, default="en")
    minimum_severity = models.CharField(_("from severity"), max_length=10, choices=Severity.choices, default=Severity.WARNING)
    sites = models.ManyToManyField(
        Site, verbose_name=_("sites"), blank=True, related_name="+", help_text=_("None chosen: of all sites, and of this server itself.")
    )
    tells_resolved = models.BooleanField(_("tells when it is over"), default=True)
    escalation_only = models.BooleanField(
        _("only by escalation"), default=False, help_text=_("Told of nothing but what an escalation step passes on.")
    )

    on_call_from = models.TimeField(_("on call from"), null=True, blank=True, help_text=_("Empty: around the clock."))
    on_call_until = models.TimeField(_("on call until"), null=True, blank=True, help_text=_("Earlier than “from”: until the next morning."))
    on_call_days = models.JSONField(
        _("on call on"), default=list, blank=True, help_text=_("Days on which the hours begin. None: every day.")
    )
    timezone = models.CharField(_("time zone"), max_length=50, default="UTC", validators=[validate_timezone])

    digest_minutes = models.PositiveSmallIntegerField(
        _("collect for, min"),
        default=0,
        validators=[MaxValueValidator(1440)],
        help_text=_("What happens within this time after the first news goes out as one message. 0: at once."),
    )
    hourly_limit = models.PositiveSmallIntegerField(
        _("messages an hour at most"),
        default=30,
        validators=[MinValueValidator(1)],
        help_text=_("To each receiver. What comes on top waits and goes out in one message."),
    )

    last_sent_at = models.DateTimeField(_("last message"), null=True, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=255, blank=True, editable=False)

    changes = ChangeRecords(excluded_fields=["sealed", "last_sent_at", "failing_since", "last_error"], m2m_fields=[sites])

    class Meta:
        ordering = ["name"]
        verbose_name = _("notification channel")
        verbose_name_plural = _("notification channels")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(on_call_from=None, on_call_until=None)
                | models.Q(on_call_from__isnull=False, on_call_until__isnull=False),
                name="on_call_from_and_until",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        """The address with its secrets. Raises SecretUnreadable when SECRET_KEY was changed since."""
        return str(unseal(self.sealed).get(ADDRESS, ""))

    def seal_url(self, url: str) -> None:
        self.sealed = seal({ADDRESS: url})

    def tells_of(self, severity: str) -> bool:
        return rank(severity) >= rank(self.minimum_severity)

    def is_on_call(self, moment: datetime) -> bool:
        return self.next_on_call(moment) <= moment

    def next_on_call(self, moment: datetime) -> datetime:
        """`moment` within the hours, else when they begin next."""
        if self.on_call_from is None or self.on_call_until is None:
            return self._next_day(moment)
        zone = ZoneInfo(self.timezone)
        day = moment.astimezone(zone).date() - timedelta(days=1)
        for _number in range(9):
            begin = datetime.combine(day, self.on_call_from, zone)
            overnight = self.on_call_until <= self.on_call_from
            end = datetime.combine(day + timedelta(days=1) if overnight else day, self.on_call_until, zone)
            if moment < end and self._is_day(begin):
                return max(begin, moment)
            day += timedelta(days=1)
        return moment

    def _next_day(self, moment: datetime) -> datetime:
        """As `next_on_call`, of whole days."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        midnights = (datetime.combine(local.date() + timedelta(days=ahead), time(), local.tzinfo) for ahead in range(8))
        return next((max(midnight, moment) for midnight in midnights if self._is_day(midnight)), moment)

    def _is_day(self, begin: datetime) -> bool:
        return not self.on_call_days or begin.weekday() in self.on_call_days


class ChannelReceiver(models.Model):
    """One person whom an e-mail channel writes to, in their language. A channel without any writes to the address it was given."""

    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="receivers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("person"), on_delete=models.CASCADE, related_name="+")
    language = models.CharField(_("language"), max_length=10, choices=languages, default="en")

    class Meta:
        verbose_name = _("receiver")
        verbose_name_plural = _("receivers")
        constraints = [models.UniqueConstraint(fields=["channel", "user"], name="a_person_once_in_a_channel")]

    def __str__(self) -> str:
        return str(self.user)


class EscalationStep(models.Model):
    """Who else is told of an alert that nobody has acknowledged for so long. It follows the channel's sites."""

    after_minutes = models.PositiveIntegerField(_("not acknowledged for, min"), validators=[MinValueValidator(1)])
    channel = models.ForeignKey(NotificationChannel, verbose_name=_("tell"), on_delete=models.CASCADE, related_name="steps")
    minimum_severity = models.CharField(_("from severity"), max_length=10, choices=Severity.choices, default=Severity.CRITICAL)
    is_enabled = models.BooleanField(_("enabled"), default=True)

    changes = ChangeRecords()

    class Meta:
        ordering = ["after_minutes", "pk"]
        verbose_name = _("escalation step")
        verbose_name_plural = _("escalation steps")

    def __str__(self) -> str:
        return f"{self.after_minutes} min → {self.channel}"
