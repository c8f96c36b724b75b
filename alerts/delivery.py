"""Sends what is due, one message a receiver, and remembers what became of it.

Whatever waits for a receiver goes out together: after an outage, a digest or a full hour, people get one message and not fifty. A delivery
is claimed before it is sent and given back when it failed; one whose sender died is free again when its claim ends, and may be sent twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Unfinished
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from traceback import extract_tb

import structlog
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from alerts.messages import compose
from alerts.models import Delivery, DeliveryState, NotificationChannel
from alerts.models.deliveries import WAITING
from alerts.transport import AddressUnusable, Message, SendFailed, send
from commands.secrets import SecretUnreadable
from resilience.bulkheads import NOTIFICATIONS, BulkheadFull, bulkhead

CLAIM = timedelta(minutes=3)
"""Longer than a run may take, so that two runs never send the same."""
RUN_S = 60.0
"""Seconds within which all messages of a run must be out; whoever takes longer has failed."""
TRIAL_S = 10.0
"""The same of a test message: somebody waits before the page."""
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=1)
MESSAGES_A_RUN = 200
TROUBLE = (SendFailed, AddressUnusable, SecretUnreadable)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outgoing:
    """One message, the deliveries that are in it, and its sending."""

    id: uuid.UUID
    deliveries: list[Delivery]
    sending: Future[None] | None = None
    error: str = ""

    @property
    def channel(self) -> NotificationChannel:
        return self.deliveries[0].channel


@dataclass(slots=True)
class Report:
    """Messages of one run."""

    sent: int = 0
    failed: int = 0
    postponed: int = 0

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.failed} failed, {self.postponed} postponed"


def deliver(*, now: datetime) -> Report:
    """Send what is due. Not inside a transaction: sockets are waited for."""
    report = Report()
    begun = [outgoing for channel, receiver in _due(now) if (outgoing := _begin(channel, receiver, now=now, report=report))]
    deadline = monotonic() + RUN_S
    for outgoing in begun:
        _wait(outgoing, until=deadline, allowed_s=RUN_S)
        _record(outgoing, now=now)
        report.failed += bool(outgoing.error)
        report.sent += not outgoing.error
    if begun or report.postponed:
        log.info("notifications_delivered", sent=report.sent, failed=report.failed, postponed=report.postponed)
    return report


def _due(now: datetime) -> Sequence[tuple[int, int | None]]:
    """Channel and receiver of what is due, those who wait longest first."""
    due = Delivery.objects.free(now).filter(next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
    return list(dict.fromkeys(due.values_list("channel", "receiver")))[:MESSAGES_A_RUN]


def _begin(channel: int, receiver: int | None, *, now: datetime, report: Report) -> Outgoing | None:
    """Take everything that waits for a receiver and start sending it; None when the hour is full or another run has it."""
    waiting = Delivery.objects.free(now).filter(channel=channel, receiver=receiver)
    if again_at := _hour_is_full(channel, receiver, now=now):
        report.postponed += 1
        waiting.update(next_attempt_at=again_at)
        return None
    outgoing = _claim(waiting, now=now)
    if outgoing is None:
        return None
    if not outgoing.channel.is_enabled:
        _close(outgoing)
        return None
    _start(outgoing)
    return outgoing


def _hour_is_full(channel: int, receiver: int | None, *, now: datetime) -> datetime | None:
    """When the receiver may be written to again; None: now."""
    limit = NotificationChannel.objects.values_list("hourly_limit", flat=True).get(pk=channel)
    hour = Delivery.objects.filter(channel=channel, receiver=receiver, sent_at__gt=now - timedelta(hours=1))
    sent = dict(hour.order_by().values_list("message", "sent_at"))
    times = sorted(at for at in sent.values() if at is not None)
    return times[-limit] + timedelta(hours=1) if len(times) >= limit else None


def _claim(waiting: QuerySet[Delivery], *, now: datetime) -> Outgoing | None:
    """By a conditional update: a run beside this one gets nothing."""
    number = uuid.uuid4()
    if not waiting.update(claimed_until=now + CLAIM, message=number, attempts=F("attempts") + 1):
        return None
    needed = ("channel", "receiver__user", "event__alert__rule", "event__alert__site", "event__alert__miner__model")
    deliveries = list(Delivery.objects.filter(message=number).select_related(*needed).order_by("event"))
    return Outgoing(id=number, deliveries=deliveries) if deliveries else None


def _start(outgoing: Outgoing) -> None:
    first, channel = outgoing.deliveries[0], outgoing.channel
    try:
        message = compose(outgoing.deliveries, language=first.receiver.language if first.receiver else channel.language)
        outgoing.sending = bulkhead(NOTIFICATIONS).submit(
            send, channel.url, message, to=first.receiver.user.email if first.receiver else ""
        )
    except (*TROUBLE, BulkheadFull) as error:
        outgoing.error = str(error)


def _wait(outgoing: Outgoing, *, until: float, allowed_s: float) -> None:
    """`until` is a moment of the monotonic clock, `allowed_s` what was allowed from the beginning."""
    if outgoing.sending is None:
        return
    try:
        outgoing.sending.result(timeout=max(0.0, until - monotonic()))
    except Unfinished:
        outgoing.sending.cancel()
        outgoing.error = _("No end within %(seconds)d s.") % {"seconds": allowed_s}
    except TROUBLE as error:
        outgoing.error = str(error)
    except Exception as error:  # noqa: BLE001  # whatever a service's plugin raises must not keep the others from being recorded
        # Its text may hold the address with its token; where it was raised does not.
        log.error("notification_crashed", channel=outgoing.channel.name, error=type(error).__name__, at=_raised_at(error))
        outgoing.error = type(error).__name__


def _raised_at(error: BaseException) -> list[str]:
    """The last functions that it went through, the innermost at the end."""
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)[-5:]]


def _record(outgoing: Outgoing, *, now: datetime) -> None:
    """Write down how it went, in the deliveries and at the channel."""
    channel = NotificationChannel.objects.filter(pk=outgoing.channel.pk)
    rows = Delivery.objects.filter(message=outgoing.id)
    if not outgoing.error:
        rows.update(state=DeliveryState.SENT, sent_at=now, claimed_until=None, last_error="")
        channel.update(last_sent_at=now, failing_since=None, last_error="")
        return
    error = outgoing.error[:255]
    attempts = min(delivery.attempts for delivery in outgoing.deliveries)
    rows.update(state=DeliveryState.FAILED, claimed_until=None, last_error=error, next_attempt_at=now + retry_after(attempts))
    given_up = rows.filter(created_at__lte=now - GIVE_UP_AFTER).update(state=DeliveryState.GIVEN_UP)
    channel.filter(failing_since=None).update(failing_since=now)
    channel.update(last_error=error)
    log.warning("notification_failed", channel=outgoing.channel.name, attempts=attempts, given_up=given_up, error=error)


def _close(outgoing: Outgoing) -> None:
    """The channel was switched off while something waited for it."""
    error = _("The channel is switched off.")
    Delivery.objects.filter(message=outgoing.id).update(state=DeliveryState.GIVEN_UP, claimed_until=None, last_error=error)


def retry_after(attempts: int) -> timedelta:
    """1, 2, 4 … minutes, an hour at most."""
    return min(FIRST_RETRY * (1 << min(max(attempts - 1, 0), 10)), LONGEST_RETRY)


def try_out(channel: NotificationChannel, message: Message, *, to: Iterable[str], within_s: float = TRIAL_S) -> str:
    """Send at once, to all receivers side by side; "" when all of them took it, else why not."""
    begun = {address: _trial(channel, message, to=address) for address in list(to) or [""]}
    deadline, errors = monotonic() + within_s, []
    for address, outgoing in begun.items():
        _wait(outgoing, until=deadline, allowed_s=within_s)
        errors += [f"{address}: {outgoing.error}" if address else outgoing.error] if outgoing.error else []
    return "; ".join(errors)


def _trial(channel: NotificationChannel, message: Message, *, to: str) -> Outgoing:
    outgoing = Outgoing(id=uuid.uuid4(), deliveries=[Delivery(channel=channel)])
    try:
        outgoing.sending = bulkhead(NOTIFICATIONS).submit(send, channel.url, message, to=to)
    except (*TROUBLE, BulkheadFull) as error:
        outgoing.error = str(error)
    return outgoing


def prune(*, now: datetime, days: int) -> int:
    """Forget deliveries of so many days ago, but what still waits; how many were forgotten."""
    ended = Delivery.objects.filter(created_at__lt=now - timedelta(days=days)).exclude(state__in=WAITING)
    return ended.delete()[0]
