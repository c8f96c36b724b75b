"""Who is told of what, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from alerts import routing
from alerts.escalation import escalate
from alerts.models import Alert, AlertEvent, Delivery, EscalationStep, RuleKind
from alerts.routing import route
from tests.alerts.farm import make_alert, make_rule
from tests.alerts.told import happened, make_channel, make_receiver, resolve
from tests.makers import NOON, make_miner, make_site, make_staff

pytestmark = pytest.mark.django_db

Kind = AlertEvent.Kind
MAIL = "mailto://mail.example?from=a@farm.example"


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def opened(*, miners: int = 4, severity: str = "critical", site=None, **fields) -> Alert:
    site = site or make_site()
    alert = make_alert(
        make_rule(RuleKind.MINER_OFFLINE, severity=severity), site=site, miners=[make_miner(site) for _ in range(miners)], **fields
    )
    happened(alert, Kind.OPENED, NOON)
    return alert


def told(channel=None) -> list[str]:
    rows = Delivery.objects.order_by("pk")
    return [row.event.kind for row in (rows.filter(channel=channel) if channel else rows)]


def test_opened_alert_is_told_once_to_each_channel():
    first, second = make_channel(), make_channel()
    opened()

    route(now=NOON)
    route(now=minutes(1))

    assert (told(first), told(second)) == (["opened"], ["opened"])


def test_storm_of_alerts_is_routed_in_one_run(monkeypatch):
    monkeypatch.setattr(routing, "EVENTS_AT_ONCE", 3)
    make_channel()
    for _ in range(7):
        opened(miners=1)

    assert route(now=NOON) == 7


@pytest.mark.parametrize(
    ("minimum", "severity", "is_told"),
    [("info", "info", True), ("warning", "info", False), ("warning", "critical", True), ("critical", "warning", False)],
)
def test_channel_is_told_from_its_severity_on(minimum, severity, is_told):
    make_channel(minimum_severity=minimum)
    opened(severity=severity)

    route(now=NOON)

    assert bool(told()) is is_told


def test_channel_of_a_site_is_told_of_that_site_only():
    here, there = make_site(), make_site()
    channel, everywhere = make_channel(sites=[here]), make_channel()
    opened(site=there)
    opened(site=None)
    mine = opened(site=here)

    route(now=NOON)

    assert [row.event.alert for row in Delivery.objects.filter(channel=channel)] == [mine]
    assert len(told(everywhere)) == 3


def test_channel_of_a_site_is_not_told_of_this_server():
    channel, everywhere = make_channel(sites=[make_site()]), make_channel()
    happened(make_alert(make_rule(RuleKind.DISK_LOW)), Kind.OPENED, NOON)

    route(now=NOON)

    assert (told(channel), told(everywhere)) == ([], ["opened"])


def test_channel_that_is_switched_off_is_not_told():
    make_channel(is_enabled=False)
    opened()

    route(now=NOON)

    assert told() == []


def test_growth_is_told_when_it_doubled():
    make_channel()
    alert = opened(miners=4)
    route(now=NOON)

    for number, count in enumerate((5, 7, 8, 15, 16), start=1):
        Alert.objects.filter(pk=alert.pk).update(member_count=count)
        happened(alert, Kind.GREW, minutes(number))
        route(now=minutes(number))

    assert list(Delivery.objects.order_by("pk").values_list("event__kind", "members_told")) == [("opened", 4), ("grew", 8), ("grew", 16)]


def test_resolved_is_told_to_whom_opened_was_told():
    first = make_channel()
    alert = opened()
    route(now=NOON)
    late = make_channel()
    quiet = make_channel(tells_resolved=False)

    resolve(alert, minutes(10))
    route(now=minutes(10))

    assert (told(first), told(late), told(quiet)) == (["opened", "resolved"], [], [])


def test_alert_that_comes_back_after_its_end_was_told_is_told_anew():
    channel, quiet = make_channel(), make_channel(tells_resolved=False)
    alert = opened(miners=1)
    route(now=NOON)
    resolve(alert, minutes(10))
    route(now=minutes(10))

    Alert.objects.filter(pk=alert.pk).update(state=Alert.State.OPEN, resolved_at=None, member_count=1)
    happened(alert, Kind.OPENED, minutes(20), details={"again": 2})
    route(now=minutes(20))
    resolve(alert, minutes(30))
    route(now=minutes(30))

    assert told(channel) == ["opened", "resolved", "opened", "resolved"]
    assert told(quiet) == ["opened"]


def test_part_that_splits_off_is_no_news_but_its_end_is():
    channel = make_channel()
    whole, part = opened(miners=8), make_alert(make_rule(RuleKind.MINER_OFFLINE, severity="critical"), site=make_site(), member_count=4)
    route(now=NOON)

    happened(part, Kind.SPLIT, minutes(5), details={"of_alert": whole.pk})
    route(now=minutes(5))
    resolve(part, minutes(9))
    route(now=minutes(9))

    assert told(channel) == ["opened", "resolved"]


def test_group_made_of_pieces_of_others_is_told():
    channel = make_channel()
    alert = make_alert(make_rule(RuleKind.MINER_OFFLINE, severity="critical"), site=make_site(), member_count=4)
    happened(alert, Kind.SPLIT, NOON, details={"miners": 4})

    route(now=NOON)

    assert told(channel) == ["split"]


@pytest.mark.parametrize("kind", [Kind.SHRANK, Kind.ACKNOWLEDGED, Kind.COMMENTED, Kind.FLAPPING, Kind.ACTED, Kind.WOULD_ACT, Kind.MERGED])
def test_the_rest_of_the_timeline_is_told_to_nobody(kind):
    make_channel()
    alert = opened()
    happened(alert, kind, minutes(1))

    route(now=minutes(1))

    assert told() == ["opened"]


def test_silenced_alert_is_not_told_and_no_event_is_lost():
    make_channel()
    alert = opened(is_silenced=True)
    route(now=NOON)
    assert told() == []

    Alert.objects.filter(pk=alert.pk).update(is_silenced=False)
    route(now=minutes(60))

    assert told() == ["opened"]


def test_alert_that_came_and_went_under_a_silence_is_told_to_nobody():
    make_channel()
    alert = opened(is_silenced=True)
    route(now=NOON)
    resolve(alert, minutes(10))

    route(now=minutes(10))

    assert told() == []
    assert not AlertEvent.objects.filter(routed_at=None).exists()


def test_alert_that_joined_a_larger_one_before_it_was_told_is_not_told():
    make_channel()
    small, large = opened(miners=1), opened(miners=20)
    happened(small, Kind.MERGED, NOON)
    Alert.objects.filter(pk=small.pk).update(state=Alert.State.RESOLVED, resolved_at=NOON)

    route(now=NOON)

    assert [row.event.alert for row in Delivery.objects.all()] == [large]


def test_each_receiver_of_mail_is_written_to():
    channel = make_channel(MAIL)
    people = [make_receiver(channel, make_staff(name)) for name in ("ann", "bao")]
    gone = make_staff("gone")
    gone.is_active = False
    gone.save()
    make_receiver(channel, gone)
    opened()

    route(now=NOON)

    assert [row.receiver for row in Delivery.objects.order_by("pk")] == people


# On call


def test_who_is_on_call_is_told():
    day = make_channel(on_call_from=time(8), on_call_until=time(20))
    night = make_channel(on_call_from=time(20), on_call_until=time(8))
    opened()

    route(now=NOON)

    assert (told(day), told(night)) == (["opened"], [])


def test_news_for_nobody_waits_for_who_is_next():
    morning = make_channel(on_call_from=time(8), on_call_until=time(12), timezone="Asia/Shanghai")
    make_channel(on_call_from=time(9), on_call_until=time(12), timezone="Asia/Shanghai")
    opened()

    route(now=NOON)  # 20:00 in Shanghai

    (delivery,) = Delivery.objects.all()
    assert (delivery.channel, delivery.next_attempt_at) == (morning, datetime(2026, 3, 2, 0, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("hours", "days", "moment", "begins"),
    [
        ((22, 6), [], "2026-03-01 23:00", "2026-03-01 23:00"),
        ((22, 6), [], "2026-03-02 05:59", "2026-03-02 05:59"),
        ((22, 6), [], "2026-03-02 06:00", "2026-03-02 22:00"),
        ((22, 6), [6], "2026-03-02 05:00", "2026-03-02 05:00"),  # Sunday's night
        ((22, 6), [0], "2026-03-02 05:00", "2026-03-02 22:00"),
        ((8, 16), [0, 1, 2, 3, 4], "2026-03-07 09:00", "2026-03-09 08:00"),
        (None, [0], "2026-03-03 09:00", "2026-03-09 00:00"),
        (None, [], "2026-03-03 09:00", "2026-03-03 09:00"),
    ],
)
def test_hours_begin_on_their_days(hours, days, moment, begins):
    span = {"on_call_from": time(hours[0]), "on_call_until": time(hours[1])} if hours else {}
    channel = make_channel(on_call_days=days, **span)

    found = channel.next_on_call(datetime.fromisoformat(moment).replace(tzinfo=UTC))

    assert found == datetime.fromisoformat(begins).replace(tzinfo=UTC)


# Escalation


def test_alert_that_nobody_acknowledges_is_passed_on_once():
    make_channel()
    boss = make_channel(escalation_only=True)
    EscalationStep.objects.create(after_minutes=15, channel=boss)
    opened()
    route(now=NOON)
    assert told(boss) == []

    passed_on = [escalate(now=minutes(count)) for count in (14, 15, 16, 60)]

    assert passed_on == [0, 1, 0, 0]
    assert told(boss) == ["escalated"]


def test_acknowledged_alert_is_not_passed_on():
    EscalationStep.objects.create(after_minutes=15, channel=make_channel(escalation_only=True))
    alert = opened()
    route(now=NOON)
    Alert.objects.filter(pk=alert.pk).update(state=Alert.State.ACKNOWLEDGED)

    assert escalate(now=minutes(20)) == 0


def test_silence_does_not_use_up_the_time_to_acknowledge():
    EscalationStep.objects.create(after_minutes=15, channel=make_channel(escalation_only=True))
    alert = opened(is_silenced=True)
    route(now=NOON)
    assert escalate(now=minutes(60)) == 0
    Alert.objects.filter(pk=alert.pk).update(is_silenced=False)
    route(now=minutes(60))

    assert [escalate(now=minutes(count)) for count in (61, 74, 75)] == [0, 0, 1]


def test_alert_that_comes_back_is_passed_on_anew():
    EscalationStep.objects.create(after_minutes=15, channel=make_channel(escalation_only=True))
    alert = opened()
    route(now=NOON)
    assert escalate(now=minutes(15)) == 1
    resolve(alert, minutes(20))
    Alert.objects.filter(pk=alert.pk).update(state=Alert.State.OPEN, resolved_at=None)
    happened(alert, Kind.OPENED, minutes(30))
    route(now=minutes(30))

    assert [escalate(now=minutes(count)) for count in (31, 44, 45, 50)] == [0, 0, 1, 0]


def test_step_follows_the_severity_and_the_sites_of_its_channel():
    here = make_site()
    EscalationStep.objects.create(after_minutes=15, channel=make_channel(escalation_only=True, sites=[here]), minimum_severity="critical")
    wanted = opened(site=here)
    opened(site=make_site())
    opened(site=here, severity="warning")
    route(now=NOON)

    escalate(now=minutes(15))

    assert [row.event.alert for row in Delivery.objects.filter(event__kind=Kind.ESCALATED)] == [wanted]


def test_end_is_told_to_whom_it_was_passed_on():
    boss = make_channel(escalation_only=True)
    EscalationStep.objects.create(after_minutes=15, channel=boss)
    alert = opened()
    route(now=NOON)
    escalate(now=minutes(15))
    resolve(alert, minutes(30))

    route(now=minutes(30))

    assert told(boss) == ["escalated", "resolved"]
