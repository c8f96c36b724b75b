"""Every list of the admin, of tables that grow: few queries, the right page of the right rows, and UTC on hover."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule, Task

from alerts.models import Alert, AlertEvent, Delivery, NotificationChannel, RuleKind
from commands.models import CommandBatch
from market.models import MarketSample, Quantity
from miners.models import Miner
from sites import listing
from sites.models import CollectorEvent
from telemetry.models import TelemetryGap
from tests.alerts.farm import make_alert, make_rule
from tests.hashinsight.console import export
from tests.makers import (
    make_collector,
    make_command,
    make_key,
    make_live,
    make_miner,
    make_miners,
    make_site,
    make_superuser,
    make_upload_log,
)

pytestmark = pytest.mark.django_db
LISTS = sorted(f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry)
ROWS = 60
"""More than a page, and twice as many as a page may ask questions."""


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


@pytest.fixture
def farm() -> None:
    """ROWS of everything that there is one of for each miner, site or minute."""
    now = timezone.now()
    rule, channel = make_rule(RuleKind.MINER_OFFLINE), NotificationChannel.objects.create(name="mail", kind="email")
    site = make_site()
    for number, miner in enumerate(make_miners(site, ROWS)):
        at = now - timedelta(minutes=number)
        make_live(miner)
        make_command(miner, batch=CommandBatch.objects.create(command="restart", created_at=at))
        make_upload_log(site, key=make_key(site)[0])
        TelemetryGap.objects.create(site=site, miner=miner, started_at=at, ended_at=now)
        alert = make_alert(rule, site=site, miner=miner, scope=Alert.Scope.MINER, scope_key=str(miner.pk))
        event = AlertEvent.objects.create(alert=alert, at=at, kind=AlertEvent.Kind.OPENED)
        Delivery.objects.create(event=event, channel=channel, created_at=at, next_attempt_at=at)
        collector = make_collector(site)
        CollectorEvent.objects.create(site=site, collector=collector, event_id=uuid.uuid4(), kind="started", at=at, received_at=at)
        make_tasks(at)


def make_tasks(at: datetime) -> None:
    for success in (True, False):
        name = uuid.uuid4().hex
        Task.objects.create(id=name, name=name, func="resilience.tasks.none", started=at, stopped=at, success=success, result="")
    Schedule.objects.create(func="resilience.tasks.none", next_run=at)
    MarketSample.objects.create(quantity=Quantity.PRICE, value=1.0, source="exchange", fetched_at=at)


def test_no_list_asks_for_each_of_its_rows(operator: Client, farm: None, django_assert_max_num_queries) -> None:
    for name in LISTS:
        with django_assert_max_num_queries(30, info=name):
            answer = operator.get(reverse(f"admin:{name}_changelist"))
        assert answer.status_code in (200, 403), name  # 403: what is only there to be chosen elsewhere


TIMED = (
    *("miners_miner", "telemetry_minertelemetrylive", "telemetry_collectoruploadlog", "telemetry_telemetrygap", "commands_minercommand"),
    *("commands_commandbatch", "alerts_alert", "alerts_delivery", "sites_collector", "sites_collectorevent", "sites_collectorkey"),
    *("auth_user", "django_q_schedule", "django_q_success", "django_q_failure", "market_marketsample"),
)


def test_times_in_a_list_are_in_utc_where_the_mouse_rests(operator: Client, farm: None) -> None:
    times = {name: re.findall(r'<time datetime="[^"]+Z" title="[^"]+ UTC">', html_of(operator, name)) for name in TIMED}
    assert [name for name, found in times.items() if not found] == []


def html_of(operator: Client, name: str) -> str:
    return operator.get(reverse(f"admin:{name}_changelist")).content.decode()


def test_file_of_a_list_has_moments_and_not_ages(operator: Client) -> None:
    heard = make_collector(make_site()).heartbeat_at
    answer = export(operator, reverse("admin:sites_collector_export"))
    assert f"{heard:%Y-%m-%d %H:%M:%S}Z" in answer.getvalue().decode()


def shown(operator: Client, **query: str) -> list[str]:
    return [miner.miner_id for miner in operator.get(reverse("admin:miners_miner_changelist"), query).context["cl"].result_list]


def test_pages_of_a_list_follow_each_other(operator: Client) -> None:
    site = make_site()
    names = [make_miner(site, f"m{number:03}").miner_id for number in range(130)]
    assert [shown(operator, p=page) for page in "123"] == [names[:50], names[50:100], names[100:]]


def test_list_keeps_its_order_on_every_page(operator: Client) -> None:
    for number, miner in enumerate(make_miners(make_site(), 70)):
        make_live(miner, hashrate_ghs=float(number * 37 % 70))
    by_hash_rate = ["5", "-5"]
    for order in by_hash_rate:
        rates = [Miner.objects.get(miner_id=name).live.hashrate_ghs for page in "12" for name in shown(operator, o=order, p=page)]
        assert rates == sorted(rates, reverse=order.startswith("-"))


def test_list_counts_what_it_finds(operator: Client) -> None:
    make_miners(make_site(), 60, zone="A")
    make_miner(zone="B")
    counts = [operator.get(reverse("admin:miners_miner_changelist"), query).context["cl"].result_count for query in ({}, {"zone": "B"})]
    assert counts == [61, 1]


def test_list_that_is_not_counted_to_its_end_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNT_AT_MOST", 60)
    make_miners(make_site(), 130)
    html = html_of(operator, "miners_miner")
    assert "60+ miners" in " ".join(html.split())
    assert "Select all 60+ miners" in html
    assert "All 60+ selected" in html


def test_all_that_match_are_reached_and_counted_however_far_the_list_counts(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNT_AT_MOST", 60)
    some, other = make_miners(make_site(), 130)[0], make_miners(make_site(), 3)[0]
    picked = {"action": "send_command", "select_across": "1", "index": "0", "_selected_action": [str(some.pk)]}

    page = operator.post(reverse("admin:miners_miner_changelist") + f"?site={some.site_id}", picked)

    assert page.context["impact"].miners == 130
    assert "For 130 miners" in page.content.decode()
    assert str(other.pk) not in page.context["form"].initial["miners"].split(",")


def test_list_offers_to_show_all_only_where_something_narrows_it(operator: Client) -> None:
    make_miner(zone="A")
    addresses = [reverse("admin:miners_miner_changelist") + query for query in ("", "?zone=A", "?q=miner")]
    assert ["Show all" in operator.get(address).content.decode() for address in addresses] == [False, True, True]


def test_page_that_does_not_exist_leads_back_to_the_list(operator: Client) -> None:
    make_miners(make_site(), 60)
    assert operator.get(reverse("admin:miners_miner_changelist"), {"p": "9"}).status_code == 302
