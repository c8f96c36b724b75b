"""What people see of alerts in the console, and what the buttons do, by who they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts.models import (
    Alert,
    AlertEvent,
    RuleKind,
    Silence,
)
from alerts.notification import notify
from tests.alerts.inboxes import WebhookServer
from tests.alerts.pages import act, member_of, messages_of, page, raised
from tests.alerts.told import make_channel
from tests.makers import make_live, make_miner, make_site

pytestmark = pytest.mark.django_db

LIST = "admin:alerts_alert_changelist"


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


def test_timeline_of_a_long_incident_comes_in_pages(admin, site):
    alert = raised(site, opened_at=timezone.now() - timedelta(days=2))
    AlertEvent.objects.bulk_create(
        AlertEvent(alert=alert, at=alert.opened_at + timedelta(minutes=number), kind=AlertEvent.Kind.COMMENTED, text=f"remark {number:03}")
        for number in range(1, 251)
    )

    newest, older = page(admin, "console:alert", alert.pk), page(admin, "console:alert", alert.pk, p="2")

    assert (newest.count("remark "), older.count("remark ")) == (200, 50)
    assert "remark 250" in newest
    assert 'href="?p=2"' in newest
    assert f"{reverse('console:alert_live', args=[alert.pk])}?p=2" in older


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
