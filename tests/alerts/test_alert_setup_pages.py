"""Setting up alerts in the console: channels, rules, silences and escalation, by who does it."""

from __future__ import annotations

import socket
import time

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.delivery import try_out
from alerts.messages import trial_message
from alerts.models import (
    AlertAction,
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
from tests.alerts.farm import make_rule
from tests.alerts.inboxes import MailServer
from tests.alerts.pages import member_of, messages_of, page, raised
from tests.alerts.told import make_channel, make_receiver
from tests.makers import make_command, make_site, make_staff

pytestmark = pytest.mark.django_db


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


def test_silence_offers_no_rules_of_other_sites(site):
    mine, theirs, everywhere = (make_rule(RuleKind.MINER_OFFLINE, name=name) for name in ("Ours alone", "Secret hall", "For all"))
    mine.sites.set([site])
    theirs.sites.set([make_site()])

    html = page(member_of("operator", site), "admin:alerts_silence_add")

    assert [name in html for name in ("Ours alone", "Secret hall", everywhere.name)] == [True, False, True]


def test_test_message_is_not_waited_for_longer_than_allowed(settings):
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        channel = make_channel(f"mailto://127.0.0.1:{silent.getsockname()[1]}?from=alerts@farm.example&mode=insecure")
        started = time.monotonic()
        error = try_out(channel, trial_message(channel, language="en"), to=["ann@example.com", "bao@example.com"], within_s=0.3)
    assert time.monotonic() - started < 2
    assert error.count("No end within") == 2
