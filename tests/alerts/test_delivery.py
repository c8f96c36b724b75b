"""What arrives at a real mail server and a real webhook, and what becomes of it when they are away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from apprise.plugins.custom_json import NotifyJSON

from alerts import delivery
from alerts.delivery import deliver, prune, retry_after
from alerts.models import Alert, AlertEvent, Delivery, DeliveryState, NotificationChannel, RuleKind
from alerts.notification import notify
from alerts.routing import route
from tests.alerts.farm import make_alert, make_rule
from tests.alerts.inboxes import MailServer, WebhookServer
from tests.alerts.told import happened, make_channel, make_receiver, resolve
from tests.makers import NOON, make_miner, make_site, make_staff
from tests.ports import free_port

pytestmark = pytest.mark.django_db

Kind = AlertEvent.Kind


@pytest.fixture(autouse=True)
def loopback_allowed(settings) -> None:
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    settings.BASE_URL = "https://farm.example"


@pytest.fixture
def hooks() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def opened(*, at: datetime = NOON, severity: str = "critical", name: str = "North farm") -> Alert:
    site = make_site(name=name)
    rule = make_rule(RuleKind.MINER_OFFLINE, severity=severity)
    alert = make_alert(rule, miners=[make_miner(site)], opened_at=at)
    happened(alert, Kind.OPENED, at)
    return alert


def states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def test_service_that_crashes_is_a_failure_and_its_words_are_not_logged(monkeypatch, caplog):
    def crash(*_arguments, **_more):
        raise RuntimeError("cannot reach json://203.0.113.9/very-secret-token")

    monkeypatch.setattr(NotifyJSON, "send", crash)
    make_channel("json://203.0.113.9/very-secret-token")
    opened()
    route(now=NOON)

    deliver(now=NOON)

    assert (states(), Delivery.objects.get().last_error) == (["failed"], "RuntimeError")
    (crashed,) = [record.msg for record in caplog.records if "notification_crashed" in str(record.msg)]
    assert isinstance(crashed, dict)
    assert crashed["at"][-1].endswith(" crash")
    assert "exc_info" not in crashed  # whose text would be written out
    assert "very-secret-token" not in str(crashed)


def test_webhook_is_told_what_is_wrong_with_a_link(hooks):
    make_channel(hooks.url())
    alert = opened()

    notify(now=NOON)

    (hook,) = hooks.hooks
    assert hook.title.startswith("[critical] North farm, ")
    assert "miner offline" in hook.title
    assert f"https://farm.example/admin/alerts/alert/{alert.pk}/overview/" in hook.text
    assert (hook.payload["alerts"][0]["id"], hook.payload["alerts"][0]["kind"]) == (alert.pk, "miner_offline")


def test_nothing_is_told_twice(hooks):
    make_channel(hooks.url())
    opened()

    for number in range(5):
        notify(now=minutes(number))

    assert len(hooks.hooks) == 1


def test_each_receiver_reads_their_own_language(mail):
    channel = make_channel(mail.url)
    make_receiver(channel, make_staff("ann"), "en")
    make_receiver(channel, make_staff("bao"), "zh-hans")
    opened()

    notify(now=NOON)

    english, chinese = mail.to("ann@example.com"), mail.to("bao@example.com")
    assert (len(english), len(chinese)) == (1, 1)
    assert "critical" in english[0].subject
    assert english[0].subject != chinese[0].subject
    assert "严重" in chinese[0].subject


def test_end_of_an_alert_is_told(hooks):
    make_channel(hooks.url())
    alert = opened()
    notify(now=NOON)
    resolve(alert, minutes(12))

    notify(now=minutes(12))

    assert [hook.payload["type"] for hook in hooks.hooks] == ["failure", "success"]
    assert hooks.hooks[1].title.startswith("[over]")


def test_several_alerts_at_once_are_one_message(hooks):
    make_channel(hooks.url())
    for number in range(25):
        opened(name=f"Farm {number}")

    notify(now=NOON)

    (hook,) = hooks.hooks
    assert hook.title == "25 sites: 25 alerts"
    assert (hook.text.count("/overview/"), "and 5 more" in hook.text) == (20, True)
    assert len(hook.payload["alerts"]) == 25
    assert states() == [DeliveryState.SENT] * 25


# When the other side is away


def test_mail_server_that_was_down_gets_everything_later_and_once(mail):
    channel = make_channel(f"{mail.url}&to=all@farm.example")
    mail.stop()
    opened()
    notify(now=NOON)
    assert states() == [DeliveryState.FAILED]
    channel.refresh_from_db()
    assert (channel.failing_since, "refused" in channel.last_error) == (NOON, True)

    opened(at=minutes(2), name="South farm")
    notify(now=minutes(2))
    mail.start()
    for number in range(3, 130):
        notify(now=minutes(number))

    (arrived,) = mail.mails
    assert arrived.subject == "2 sites: 2 alerts"
    assert states() == [DeliveryState.SENT] * 2
    channel.refresh_from_db()
    assert channel.failing_since is None


def test_webhook_that_answers_with_an_error_is_tried_less_and_less_often(hooks):
    hooks.status = 503
    make_channel(hooks.url())
    opened()

    attempts = []
    for number in range(130):
        before = hooks.refused
        notify(now=minutes(number))
        attempts += [number] * (hooks.refused - before)

    assert attempts == [0, 1, 3, 7, 15, 31, 63, 123]


def test_delivery_is_given_up_after_a_day(hooks):
    hooks.status = 500
    channel = make_channel(hooks.url())
    opened()

    for hour in range(26):
        notify(now=minutes(hour * 60))
    refused = hooks.refused
    notify(now=minutes(60 * 48))

    assert states() == [DeliveryState.GIVEN_UP]
    assert hooks.refused == refused
    row = Delivery.objects.get()
    assert "500" in row.last_error
    channel.refresh_from_db()
    assert channel.failing_since == NOON


def test_what_opened_and_ended_while_the_channel_was_away_is_one_message(hooks):
    hooks.status = 500
    make_channel(hooks.url())
    alert = opened()
    notify(now=NOON)
    resolve(alert, minutes(20))
    notify(now=minutes(20))
    hooks.status = 200

    for number in range(21, 90):
        notify(now=minutes(number))

    assert [hook.title[:6] for hook in hooks.hooks] == ["[over]"]
    assert states() == [DeliveryState.SENT] * 2


def test_one_channel_that_hangs_does_not_keep_the_others_waiting(hooks, monkeypatch):
    monkeypatch.setattr(delivery, "RUN_S", 2.0)
    with WebhookServer(status="hang") as hanging:
        stuck = make_channel(hanging.url())
        make_channel(hooks.url())
        opened()

        notify(now=NOON)

        assert len(hooks.hooks) == 1
        assert Delivery.objects.get(channel=stuck).state == DeliveryState.FAILED


def test_error_is_kept_without_the_token():
    make_channel(f"json://127.0.0.1:{free_port()}/very-secret-token")
    opened()

    notify(now=NOON)

    row, channel = Delivery.objects.get(), NotificationChannel.objects.get()
    assert row.last_error
    assert "very-secret-token" not in row.last_error + channel.last_error + channel.target + channel.sealed


def test_private_address_is_refused_and_says_so(hooks, settings):
    settings.ALERT_ALLOWED_NETWORKS = []
    make_channel(hooks.url())
    opened()

    notify(now=NOON)

    assert hooks.hooks == []
    assert "127.0.0.1 is not a public address" in Delivery.objects.get().last_error


def test_channel_whose_secret_cannot_be_read_any_more_says_so(hooks, settings):
    make_channel(hooks.url())
    opened()
    settings.SECRET_KEY = "another key than before, and a long one"

    notify(now=NOON)

    assert states() == [DeliveryState.FAILED]
    assert "SECRET_KEY was changed" in Delivery.objects.get().last_error


def test_sender_that_died_leaves_its_messages_to_the_next(hooks):
    make_channel(hooks.url())
    opened()
    route(now=NOON)
    Delivery.objects.update(claimed_until=minutes(3), attempts=1)

    deliver(now=minutes(2))
    assert hooks.hooks == []
    deliver(now=minutes(3))

    assert len(hooks.hooks) == 1


def test_channel_switched_off_meanwhile_sends_nothing_more(hooks):
    channel = make_channel(hooks.url())
    opened()
    route(now=NOON)
    NotificationChannel.objects.filter(pk=channel.pk).update(is_enabled=False)

    deliver(now=NOON)

    assert (hooks.hooks, states()) == ([], [DeliveryState.GIVEN_UP])


# Digest and limits


def test_digest_collects_and_sends_once(hooks):
    make_channel(hooks.url(), digest_minutes=10)
    sent_at = []
    for number in range(25):
        if number in (0, 4, 9, 15):
            opened(at=minutes(number))
        before = len(hooks.hooks)
        notify(now=minutes(number))
        sent_at += [(number, len(hook.payload["alerts"])) for hook in hooks.hooks[before:]]

    assert sent_at == [(10, 3)]
    notify(now=minutes(25))
    assert len(hooks.hooks) == 2


def test_hourly_limit_holds_back_and_loses_nothing(hooks):
    make_channel(hooks.url(), hourly_limit=3)
    sent_at = []
    for number in range(80):
        if number < 30:
            opened(at=minutes(number))
        before = len(hooks.hooks)
        notify(now=minutes(number))
        sent_at += [(number, len(hook.payload["alerts"])) for hook in hooks.hooks[before:]]

    assert sent_at == [(0, 1), (1, 1), (2, 1), (60, 27)]
    assert states() == [DeliveryState.SENT] * 30


def test_limit_counts_each_receiver_for_themselves(mail):
    channel = make_channel(mail.url, hourly_limit=1)
    for name in ("ann", "bao"):
        make_receiver(channel, make_staff(name))
    opened()

    notify(now=NOON)

    assert (len(mail.to("ann@example.com")), len(mail.to("bao@example.com"))) == (1, 1)


def test_waiting_grows_to_an_hour():
    assert [retry_after(count).total_seconds() / 60 for count in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_old_deliveries_are_forgotten_and_waiting_ones_are_not(hooks):
    make_channel(hooks.url())
    opened()
    notify(now=NOON)
    make_channel(f"json://127.0.0.1:{free_port()}/")
    opened(at=minutes(1))
    notify(now=minutes(1))

    count = prune(now=NOON + timedelta(days=31), days=30)

    assert (count, states()) == (2, [DeliveryState.FAILED])
