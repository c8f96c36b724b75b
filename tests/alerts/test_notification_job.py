"""The job that tells people: one run at a time, and each message once, however many run."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connections
from django.utils import timezone

from alerts import tasks
from alerts.delivery import deliver
from alerts.models import AlertEvent, Delivery, DeliveryState, RuleKind
from alerts.routing import route
from resilience.leases import job_lease
from resilience.models import JobLease
from tests.alerts.farm import make_alert, make_rule
from tests.alerts.inboxes import WebhookServer
from tests.alerts.told import happened, make_channel
from tests.makers import make_miner, make_site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hooks(settings) -> Iterator[WebhookServer]:
    settings.ALERT_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    with WebhookServer() as server:
        yield server


def opened() -> None:
    now = timezone.now()
    alert = make_alert(make_rule(RuleKind.MINER_OFFLINE), miners=[make_miner(make_site())], opened_at=now)
    happened(alert, AlertEvent.Kind.OPENED, now)


def test_task_tells_people_and_leaves_its_heartbeat(hooks):
    make_channel(hooks.url())
    opened()

    said = tasks.notify()

    assert said == "1 routed, 0 escalated, 1 sent, 0 failed, 0 postponed"
    assert JobLease.objects.get(name="notify").succeeded_at is not None
    assert len(hooks.hooks) == 1


def test_second_run_beside_a_first_one_does_nothing(hooks):
    make_channel(hooks.url())
    opened()

    with job_lease("notify", ttl_s=60):
        assert "already running" in tasks.notify()

    assert hooks.hooks == []


def test_runs_at_the_same_time_send_each_message_once(hooks):
    channels = [make_channel(hooks.url(f"hook-{number}")) for number in range(4)]
    for _ in range(3):
        opened()
    now = timezone.now()
    route(now=now)
    barrier = threading.Barrier(4)

    def run() -> None:
        try:
            barrier.wait()
            deliver(now=now)
        finally:
            connections.close_all()

    runs = [threading.Thread(target=run) for _ in range(4)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()

    arrived = [alert["id"] for hook in hooks.hooks for alert in hook.payload["alerts"]]
    assert len(arrived) == len(channels) * 3
    assert all(len(hooks.at(f"hook-{number}")) == 1 for number in range(4))
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}
