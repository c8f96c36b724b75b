"""Alerts in a real browser: somebody takes care of one, somebody sets up who is told, and no page hinders anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from alerts.models import Alert, AlertEvent, Delivery, DeliveryState, NotificationChannel, RuleKind, Silence
from miners.models import Miner
from tests.alerts.farm import make_alert, make_rule
from tests.alerts.told import happened, make_channel
from tests.hashinsight.console import Tab, logged_in, make_farm, silent_console
from tests.hashinsight.test_accessibility import hindrances
from tests.makers import make_superuser
from tests.web import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def tab(live_web: WebServer, browser_page: Page) -> Iterator[Tab]:
    with silent_console(browser_page):
        yield logged_in(browser_page, live_web, make_superuser("operator", "correct horse"))


@pytest.fixture
def alert(live_web: WebServer) -> Alert:
    site, now = make_farm(), timezone.now()
    rule = make_rule(RuleKind.TEMPERATURE_HIGH, severity="critical", threshold=90)
    hot = list(Miner.objects.filter(site=site, rack="R2"))
    times = {"opened_at": now, "changed_at": now, "seen_at": now}
    made = make_alert(rule, miners=hot, scope=Alert.Scope.RACK, scope_key="A/R2", value=92.0, **times)
    happened(made, AlertEvent.Kind.OPENED, now)
    return made


def test_alert_is_found_looked_at_and_taken_care_of(tab: Tab, alert: Alert) -> None:
    tab.open()
    tab.page.click("a[title='1 open alert']")
    tab.page.click("text=North Valley, rack A/R2: 3 miners too hot")
    tab.page.wait_for_selector("[data-chart=temperature] canvas")
    tab.page.fill("input[name=note]", "filters are full, cleaning them")
    tab.page.click("button:has-text('Acknowledge')")
    tab.page.wait_for_selector("text=Acknowledged: nobody else is called.")

    alert.refresh_from_db()
    assert (alert.state, str(alert.acknowledged_by)) == ("acknowledged", "operator")
    assert "filters are full, cleaning them" in tab.text("#alert-lists")


def test_alert_is_silenced_for_the_time_chosen(tab: Tab, alert: Alert) -> None:
    tab.open(f"alerts/alert/{alert.pk}/overview/")
    tab.page.select_option("select[name=minutes]", "240")
    tab.page.click("button:has-text('Silence')")
    tab.page.wait_for_selector("text=Silenced until")

    silence = Silence.objects.get()
    assert (silence.ends_at - silence.starts_at).total_seconds() == 4 * 3600


def test_channel_is_set_up_tried_and_keeps_its_secret(tab: Tab) -> None:
    tab.open("alerts/notificationchannel/add/")
    tab.page.fill("input[name=name]", "Duty")
    tab.page.fill("input[name=url]", "json://127.0.0.1:9/very-secret-token")
    tab.page.click("button[name=_continue]")
    tab.page.wait_for_selector("text=Send a test message")
    assert tab.page.input_value("input[name=url]") == ""
    tab.page.click("text=Send a test message")
    tab.page.wait_for_selector("text=127.0.0.1 is not a public address")

    assert "very-secret-token" not in tab.page.content()
    assert NotificationChannel.objects.get().url.endswith("/very-secret-token")


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_no_page_of_alerts_hinders_anybody_seriously(tab: Tab, alert: Alert, theme: Any, width: int) -> None:
    channel = make_channel(failing_since=timezone.now(), last_error="it does not answer")
    Delivery.objects.create(
        event=alert.events.get(), channel=channel, state=DeliveryState.FAILED, created_at=timezone.now(), next_attempt_at=timezone.now()
    )
    tab.page.emulate_media(color_scheme=theme)
    tab.page.set_viewport_size({"width": width, "height": 900})
    lists = [
        f"alerts/{name}/" for name in ("alert", "alertrule", "alertaction", "silence", "notificationchannel", "escalationstep", "delivery")
    ]
    pages = [
        f"alerts/alert/{alert.pk}/overview/",
        f"alerts/notificationchannel/{channel.pk}/change/",
        f"alerts/alertrule/{alert.rule_id}/change/",
    ]
    found = {}
    for address in [*lists, *pages]:
        tab.open(address)
        if wrong := hindrances(tab.page):
            found[address] = wrong
    assert found == {}
