"""What people see of alerts in the console, and what the buttons do, by who they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import (
    Alert,
    AlertAction,
    AlertEvent,
    AlertRule,
    ChannelReceiver,
    Delivery,
    DeliveryState,
    EscalationStep,
    NotificationChannel,
    RuleKind,
    Silence,
)
from alerts.notification import notify
from tests.alerts.farm import make_alert, make_rule
from tests.alerts.inboxes import MailServer, WebhookServer
from tests.alerts.told import happened, make_channel, make_receiver
from tests.makers import make_command, make_live, make_miner, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db

LIST = "admin:alerts_alert_changelist"


def member_of(group: str, *sites) -> Client:
    user = make_staff(sites=sites)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_superuser())
    return client


@pytest.fixture
def site():
    return make_site("north", name="North farm")


def raised(site, *, miners: int = 1, severity: str = "critical", kind=RuleKind.MINER_OFFLINE, **fields) -> Alert:
    now = timezone.now()
    times = {"opened_at": now, "changed_at": now, "seen_at": now}
    alert = make_alert(make_rule(kind, severity=severity), miners=[make_miner(site) for _ in range(miners)], **{**times, **fields})
    happened(alert, AlertEvent.Kind.OPENED, alert.opened_at)
    return alert


def page(client: Client, name: str, *args, **query) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")


def act(client: Client, alert: Alert, action: str, **fields) -> int:
    return client.post(reverse("console:alert_act", args=[alert.pk]), {"action": action, **fields}).status_code


def messages_of(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


# The list


def test_list_has_what_is_open_first(admin, site):
    over = raised(site, state=Alert.State.RESOLVED, resolved_at=timezone.now())
    old = raised(site, opened_at=timezone.now() - timedelta(days=3))

    html = page(admin, LIST)

    assert html.index(reverse("console:alert", args=[old.pk])) < html.index(reverse("console:alert", args=[over.pk]))


def test_list_shows_the_users_sites_only(site):
    mine, other = raised(site), raised(make_site(name="South farm"))

    html = page(member_of("viewer", site), LIST)

    assert reverse("console:alert", args=[mine.pk]) in html
    assert reverse("console:alert", args=[other.pk]) not in html


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "not_over"}, {"hot", "taken"}),
        ({"state": "resolved"}, {"over"}),
        ({"severity": "warning"}, {"taken"}),
        ({"kind": "temperature_high"}, {"hot"}),
    ],
)
def test_list_is_narrowed(admin, site, query, expected):
    alerts = {
        "hot": raised(site, kind=RuleKind.TEMPERATURE_HIGH),
        "taken": raised(site, severity="warning", state=Alert.State.ACKNOWLEDGED),
        "over": raised(site, state=Alert.State.RESOLVED, resolved_at=timezone.now()),
    }

    html = page(admin, LIST, **query)

    assert {name for name, alert in alerts.items() if reverse("console:alert", args=[alert.pk]) in html} == expected


def test_selected_alerts_are_acknowledged_at_once(site):
    alerts = [raised(site) for _ in range(3)]
    client = member_of("technician", site)

    client.post(reverse(LIST), {"action": "acknowledge", "_selected_action": [alert.pk for alert in alerts]})

    assert set(Alert.objects.values_list("state", flat=True)) == {"acknowledged"}


def test_selected_alerts_are_silenced_at_once(site):
    alerts = [raised(site) for _ in range(2)]
    client = member_of("operator", site)

    client.post(reverse(LIST), {"action": "silence_4_hours", "_selected_action": [alert.pk for alert in alerts]})

    assert set(Alert.objects.values_list("is_silenced", flat=True)) == {True}
    assert Silence.objects.count() == 2


def test_list_of_many_needs_few_queries(admin, site, django_assert_max_num_queries):
    for _ in range(30):
        raised(site)
    page(admin, LIST)
    with django_assert_max_num_queries(16):
        page(admin, LIST)


# The page of one


def test_page_tells_what_where_and_who_was_told(admin, site, settings):
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    alert = raised(site, miners=3, scope=Alert.Scope.RACK, scope_key="A/R07")
    with WebhookServer() as hooks:
        make_channel(hooks.url(), name="Ops webhook")
        notify(now=timezone.now())

    html = page(admin, "console:alert", alert.pk)

    assert "North farm, rack A/R07: 3 miners offline" in html
    assert "Ops webhook" in html
    for member in alert.members.all():
        assert reverse("console:miner", args=[member.miner_id]) in html


def test_chart_is_drawn_around_the_incident(admin, site):
    opened = timezone.now() - timedelta(hours=10)
    alert = raised(site, opened_at=opened, state=Alert.State.RESOLVED, resolved_at=opened + timedelta(hours=1))
    make_live(alert.miner)

    drawn = admin.get(reverse("console:alert_series", args=[alert.pk])).json()

    assert drawn["start"] == int((opened - timedelta(hours=2)).timestamp())
    assert drawn["end"] == int((opened + timedelta(hours=3)).timestamp())


@pytest.mark.parametrize("name", ["console:alert", "console:alert_live", "console:alert_series"])
def test_page_of_another_site_is_not_there(site, name):
    alert = raised(make_site())

    assert member_of("site manager", site).get(reverse(name, args=[alert.pk])).status_code == 404


@pytest.mark.parametrize(
    ("group", "acknowledge", "silence"),
    [("viewer", 403, 403), ("technician", 302, 403), ("operator", 302, 302), ("site manager", 302, 302)],
)
def test_buttons_work_for_those_whose_task_it_is(site, group, acknowledge, silence):
    client, alert = member_of(group, site), raised(site)

    assert (act(client, alert, "acknowledge"), act(client, alert, "silence", minutes="60")) == (acknowledge, silence)
    alert.refresh_from_db()
    assert (alert.state, alert.is_silenced) == ("acknowledged" if acknowledge == 302 else "open", silence == 302)


def test_remark_is_kept_with_who_wrote_it(site):
    client, alert = member_of("technician", site), raised(site)

    act(client, alert, "acknowledge", note="breaker 7 tripped")
    act(client, alert, "comment", note="switched on again")
    act(client, alert, "resolve", note="all up")

    html = page(client, "console:alert", alert.pk)
    assert all(note in html for note in ("breaker 7 tripped", "switched on again", "all up"))
    assert [event.text for event in alert.events.exclude(by=None)] == ["breaker 7 tripped", "switched on again", "all up"]


def test_what_is_over_says_so_when_a_button_comes_late(site):
    client = member_of("technician", site)
    alert = raised(site, state=Alert.State.RESOLVED, resolved_at=timezone.now())

    answer = client.post(reverse("console:alert_act", args=[alert.pk]), {"action": "acknowledge"}, follow=True)

    assert "resolved" in messages_of(answer)[0]


def test_nothing_happens_by_a_link(site):
    client, alert = member_of("operator", site), raised(site)

    assert client.get(reverse("console:alert_act", args=[alert.pk]), {"action": "acknowledge"}).status_code == 405


def test_remark_cannot_bring_markup_along(site):
    client, alert = member_of("technician", site), raised(site)

    act(client, alert, "comment", note="<script>alert(1)</script>")

    assert "<script>alert(1)" not in page(client, "console:alert", alert.pk)


# Counts


def test_overview_counts_open_alerts_in_all_and_by_site(admin, site):
    make_miner(site)
    raised(site)
    raised(site, severity="warning")
    raised(site, is_silenced=True)
    raised(site, state=Alert.State.RESOLVED, resolved_at=timezone.now())

    html = page(admin, "admin:index")

    assert "2 open alerts" in html
    assert "1 critical" in html
    assert f"?state=not_over&amp;site={site.pk}" in html


def test_header_counts_the_users_own_sites(site):
    raised(site)
    raised(make_site())

    assert "1 open alert" in page(member_of("viewer", site), "admin:miners_miner_changelist")
    assert "open alert" not in page(member_of("viewer", make_site()), "admin:miners_miner_changelist")


def test_count_is_one_query_a_page(admin, site, django_assert_max_num_queries):
    raised(site)
    page(admin, "admin:index")
    with django_assert_max_num_queries(30) as captured:
        page(admin, "admin:index")

    assert sum("COUNT" in query["sql"] and "alerts_alert" in query["sql"] for query in captured.captured_queries) == 1


def test_overview_shows_a_channel_that_no_message_gets_through(admin, site):
    make_channel(name="Duty", failing_since=timezone.now(), last_error="it does not answer")

    assert "it does not answer" in page(admin, "admin:index")
    assert "it does not answer" not in page(member_of("viewer", site), "admin:index")


def test_site_page_lists_its_open_alerts(admin, site):
    alert = raised(site)

    html = page(admin, "console:site", site.pk)

    assert reverse("console:alert", args=[alert.pk]) in html


# Setting up


CHANNEL = {
    "name": "Duty",
    "is_enabled": "on",
    "language": "en",
    "minimum_severity": "warning",
    "timezone": "UTC",
    "digest_minutes": "0",
    "hourly_limit": "30",
    "receivers-TOTAL_FORMS": "0",
    "receivers-INITIAL_FORMS": "0",
}
TOKEN_URL = "jsons://hooks.example.com/very-secret-token"


def test_address_of_a_channel_is_stored_sealed_and_never_shown_again(admin):
    admin.post(reverse("admin:alerts_notificationchannel_add"), {**CHANNEL, "url": TOKEN_URL})

    channel = NotificationChannel.objects.get()
    assert (channel.url, channel.kind, channel.target) == (TOKEN_URL, "webhook", "jsons://hooks.example.com")
    assert "very-secret-token" not in channel.sealed
    for name, args in (("admin:alerts_notificationchannel_change", [channel.pk]), ("admin:alerts_notificationchannel_changelist", [])):
        assert "very-secret-token" not in page(admin, name, *args)


def test_address_stays_when_its_field_is_left_empty(admin):
    channel = make_channel(TOKEN_URL)

    admin.post(reverse("admin:alerts_notificationchannel_change", args=[channel.pk]), {**CHANNEL, "name": "Renamed", "url": ""})

    channel.refresh_from_db()
    assert (channel.name, channel.url) == ("Renamed", TOKEN_URL)


def test_history_of_a_channel_says_that_its_address_changed_and_not_to_what(admin):
    channel = make_channel(TOKEN_URL)

    change = {**CHANNEL, "name": channel.name, "minimum_severity": "info", "url": "jsons://hooks.example.com/another-secret"}
    admin.post(reverse("admin:alerts_notificationchannel_change", args=[channel.pk]), change)

    html = page(admin, "admin:alerts_notificationchannel_history", channel.pk)
    assert "new address" in html
    assert "secret" not in html


def test_history_of_a_rule_says_who_changed_what(admin, site):
    rule = make_rule(RuleKind.MINER_OFFLINE)
    form = {"severity": "info", "for_minutes": 7, "clear_margin": 0, "clear_minutes": 0, "sites": [site.pk], "is_enabled": "on"}
    rest = {"group_from": 3, "group_percent": 50, "action_mode": "off", "action_cooldown_minutes": 60, "action_daily_cap": 20}

    admin.post(reverse("admin:alerts_alertrule_change", args=[rule.pk]), {**form, **rest})

    html = page(admin, "admin:alerts_alertrule_history", rule.pk)
    assert all(text in html for text in ("For at least, min", "7", "North farm", "admin-"))


@pytest.mark.parametrize("url", ["", "exec://ls", "file:///etc/passwd", "https://example.com/x"])
def test_channel_without_a_usable_address_is_not_stored(admin, url):
    answer = admin.post(reverse("admin:alerts_notificationchannel_add"), {**CHANNEL, "url": url})

    assert answer.context["adminform"].form.errors.keys() == {"url"}
    assert not NotificationChannel.objects.exists()


def test_one_hour_without_the_other_is_refused(admin):
    answer = admin.post(reverse("admin:alerts_notificationchannel_add"), {**CHANNEL, "url": TOKEN_URL, "on_call_from": "08:00"})

    assert "on_call_until" in answer.context["adminform"].form.errors


def test_only_mail_has_receivers(admin):
    person = make_staff()
    receiver = {"receivers-TOTAL_FORMS": "1", "receivers-0-user": str(person.pk), "receivers-0-language": "en"}
    add = reverse("admin:alerts_notificationchannel_add")

    refused = admin.post(add, {**CHANNEL, **receiver, "url": TOKEN_URL})
    taken = admin.post(add, {**CHANNEL, **receiver, "url": "mailtos://user:pass-word@smtp.example.com?from=a@example.com"})

    assert (refused.status_code, taken.status_code) == (200, 302)
    assert ChannelReceiver.objects.get().user == person


def test_test_message_arrives_at_one_click_and_says_so(admin, settings):
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    with MailServer() as mail:
        channel = make_channel(mail.url)
        for name in ("ann", "bao"):
            make_receiver(channel, make_staff(name))
        answer = admin.post(reverse("admin:alerts_notificationchannel_test", args=[channel.pk]), follow=True)

    assert messages_of(answer) == ["The test message was accepted."]
    assert sorted(sent.to for sent in mail.mails) == ["ann@example.com", "bao@example.com"]
    assert not Delivery.objects.exists()


def test_test_message_that_cannot_arrive_says_why(admin):
    channel = make_channel("json://127.0.0.1:9/very-secret-token")

    answer = admin.post(reverse("admin:alerts_notificationchannel_test", args=[channel.pk]), follow=True)

    (said,) = messages_of(answer)
    assert "127.0.0.1 is not a public address" in said
    assert "very-secret-token" not in said


def test_site_manager_sets_up_channels_of_their_sites_only(site):
    client = member_of("site manager", site)
    everywhere, other = make_channel(name="everywhere"), make_channel(name="elsewhere", sites=[make_site()])
    both = make_channel(name="shared", sites=[site, make_site()])
    own = make_channel(name="own", sites=[site])

    assert "own" in page(client, "admin:alerts_notificationchannel_changelist")
    codes = [
        client.get(reverse("admin:alerts_notificationchannel_change", args=[channel.pk])).status_code
        for channel in (own, everywhere, other, both)
    ]
    assert codes == [200, 302, 302, 302]


def test_site_manager_cannot_make_a_channel_for_all_sites(site):
    answer = member_of("site manager", site).post(reverse("admin:alerts_notificationchannel_add"), {**CHANNEL, "url": TOKEN_URL})

    assert "sites" in answer.context["adminform"].form.errors


def test_site_manager_changes_rules_of_their_sites_only(site):
    client = member_of("site manager", site)
    everywhere, own = make_rule(RuleKind.MINER_OFFLINE), make_rule(RuleKind.MINER_OFFLINE)
    own.sites.set([site])
    change = {"severity": "info", "for_minutes": 1, "clear_margin": 0, "clear_minutes": 2, "sites": [site.pk]}
    rest = {"group_from": 3, "group_percent": 50, "action_mode": "off", "action_cooldown_minutes": 60, "action_daily_cap": 20}

    codes = [
        client.post(reverse("admin:alerts_alertrule_change", args=[rule.pk]), {**change, **rest}).status_code for rule in (own, everywhere)
    ]

    assert codes == [302, 403]
    assert [AlertRule.objects.get(pk=rule.pk).severity for rule in (own, everywhere)] == ["info", "warning"]


@pytest.mark.parametrize(("permission", "mode"), [("commands.can_reboot", "off"), ("commands.can_restart", "live")])
def test_rule_acts_only_in_the_way_of_somebody_who_may_give_its_command(site, permission, mode):
    rule = make_rule(RuleKind.MINER_OFFLINE)
    rule.sites.set([site])
    client = Client()
    client.force_login(make_staff(sites=(site,), permissions=("alerts.change_alertrule", "sites.view_site", permission)))
    change = {"severity": "info", "for_minutes": 1, "clear_margin": 0, "clear_minutes": 2, "sites": [site.pk], "action": "restart"}
    rest = {"group_from": 3, "group_percent": 50, "action_mode": "live", "action_cooldown_minutes": 60, "action_daily_cap": 20}

    client.post(reverse("admin:alerts_alertrule_change", args=[rule.pk]), {**change, **rest})

    assert AlertRule.objects.get(pk=rule.pk).action_mode == mode


def test_names_of_racks_are_typed_with_commas(admin):
    rule = make_rule(RuleKind.MINER_OFFLINE, racks=["A/R07"])
    assert 'value="A/R07"' in page(admin, "admin:alerts_alertrule_change", rule.pk)
    form = {"severity": "info", "for_minutes": 1, "clear_margin": 0, "clear_minutes": 2, "racks": "R01, B/R02"}
    rest = {"group_from": 3, "group_percent": 50, "action_mode": "off", "action_cooldown_minutes": 60, "action_daily_cap": 20}

    admin.post(reverse("admin:alerts_alertrule_change", args=[rule.pk]), {**form, **rest})

    rule.refresh_from_db()
    assert rule.racks == ["R01", "B/R02"]


def test_what_rules_did_or_would_have_done_is_listed(site):
    alert = raised(site)
    action = {"rule": alert.rule, "miner": alert.miner, "alert": alert, "action": "restart", "at": timezone.now()}
    AlertAction.objects.create(**action, outcome=AlertAction.Outcome.WOULD_ACT)
    AlertAction.objects.create(**action, outcome=AlertAction.Outcome.ACTED, command=make_command(alert.miner))

    html = page(member_of("viewer", site), "admin:alerts_alertaction_changelist")

    assert "dry run" in html
    assert "/admin/commands/minercommand/" in html
    assert alert.miner.miner_id not in page(member_of("viewer", make_site()), "admin:alerts_alertaction_changelist")


def test_silence_is_made_for_ones_own_site(site):
    client = member_of("operator", site)
    times = {"starts_at_0": "2026-03-01", "starts_at_1": "12:00", "ends_at_0": "2026-03-01", "ends_at_1": "16:00", "reason": "new fans"}
    add = reverse("admin:alerts_silence_add")

    codes = [client.post(add, {**times, "site": chosen}).status_code for chosen in ("", make_site().pk, site.pk)]

    assert codes == [200, 200, 302]
    silence = Silence.objects.get()
    assert (silence.site, silence.created_by) == (site, client.get("/admin/").wsgi_request.user)


@pytest.mark.parametrize(
    ("group", "opened"),
    [
        ("viewer", {"alert", "alertrule", "silence", "delivery"}),
        ("operator", {"alert", "alertrule", "silence", "delivery"}),
        ("site manager", {"alert", "alertrule", "silence", "delivery", "notificationchannel", "escalationstep"}),
        ("administrator", {"alert", "alertrule", "silence", "delivery", "notificationchannel", "escalationstep"}),
    ],
)
def test_each_group_opens_its_pages(site, group, opened):
    client = member_of(group, site)
    models = ("alert", "alertrule", "silence", "delivery", "notificationchannel", "escalationstep")

    codes = {model: client.get(reverse(f"admin:alerts_{model}_changelist")).status_code for model in models}

    assert {model for model, code in codes.items() if code == 200} == opened
    assert set(codes.values()) <= {200, 403}


def test_log_of_deliveries_shows_what_failed_and_tries_again(admin, site):
    make_channel("json://127.0.0.1:9/hook", name="Ops webhook")
    raised(site)
    notify(now=timezone.now())
    Delivery.objects.update(state=DeliveryState.GIVEN_UP)

    html = page(admin, "admin:alerts_delivery_changelist")
    assert "127.0.0.1 is not a public address" in html
    admin.post(reverse("admin:alerts_delivery_changelist"), {"action": "try_again", "_selected_action": [Delivery.objects.get().pk]})

    assert Delivery.objects.get().state == DeliveryState.PENDING


def test_escalation_step_tells_a_channel(admin):
    channel = make_channel(escalation_only=True)

    admin.post(
        reverse("admin:alerts_escalationstep_add"),
        {"after_minutes": "15", "channel": channel.pk, "minimum_severity": "critical", "is_enabled": "on"},
    )

    assert EscalationStep.objects.get().channel == channel
