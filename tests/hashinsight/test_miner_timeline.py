"""What happened to one miner, from all its sources in one list."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert, AlertMember, AlertRule
from alerts.models.rules import RuleKind
from hashinsight.pages.timeline import Event, Span, events_of
from miners.layout import Place, move
from miners.models import Miner
from telemetry.ingest import ingest_readings
from telemetry.models import Source, TelemetryGap
from tests.makers import make_command, make_miner, make_reading, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db


@pytest.fixture
def miner() -> Miner:
    """One that was added long ago: nothing of it is in the timeline yet."""
    miner = make_miner(make_site(interval_seconds=60), "m1")
    Miner.changes.all().delete()
    return miner


def said(miner: Miner, *readings: dict[str, object]) -> None:
    """One reading a minute, the last one now."""
    now = timezone.now()
    made = [
        make_reading(miner.miner_id, **{"timestamp": now - timedelta(minutes=len(readings) - 1 - number), **fields})
        for number, fields in enumerate(readings)
    ]
    ingest_readings(miner.site, made, source=Source.POLLER, received_at=now)


def events(miner: Miner, user: object = None, *, days: int = 1) -> list[Event]:
    now = timezone.now() + timedelta(seconds=1)
    return events_of(Span(miner=miner, user=user or make_superuser(), start=now - timedelta(days=days), end=now))


def texts(miner: Miner) -> list[str]:
    return [event.text for event in reversed(events(miner))]


def test_miner_that_goes_and_comes_back_is_told_of_twice(miner: Miner) -> None:
    gone = {"online": False, "hashrate_ghs": None, "mining_state": None, "uptime_seconds": None, "error_type": "timeout"}
    said(miner, {}, gone, gone, {"uptime_seconds": 60})
    assert texts(miner) == ["offline", "online again"]


def test_uptime_that_fell_is_a_restart(miner: Miner) -> None:
    said(miner, {"uptime_seconds": 900}, {"uptime_seconds": 960}, {"uptime_seconds": 20})
    assert texts(miner) == ["restarted"]


def test_miner_that_is_put_to_sleep_is_told_of(miner: Miner) -> None:
    said(miner, {}, {"mining_state": "sleeping"}, {"mining_state": "mining"})
    assert texts(miner) == ["sleeping", "mining"]


def test_well_miner_has_no_events(miner: Miner) -> None:
    said(miner, {}, {}, {})
    assert events(miner) == []


def test_sources_are_merged_by_time(miner: Miner) -> None:
    now = timezone.now()
    make_command(miner, created_at=now - timedelta(hours=3))
    TelemetryGap.objects.create(
        site=miner.site, miner=miner, started_at=now - timedelta(hours=2), ended_at=now - timedelta(hours=1), cause="miner_offline"
    )
    rule = AlertRule.objects.create(slug="hot", name="Hot", kind=RuleKind.values[0])
    alert = Alert.objects.create(
        rule=rule,
        site=miner.site,
        miner=miner,
        scope="miner",
        scope_key=str(miner.pk),
        severity="critical",
        opened_at=now,
        changed_at=now,
        seen_at=now,
    )
    AlertMember.objects.create(alert=alert, miner=miner, joined_at=now - timedelta(minutes=90))
    assert [event.kind for event in events(miner)] == ["alert", "state", "command"]


def test_change_of_the_place_is_told_with_before_and_after(miner: Miner) -> None:
    move(miner.site, {miner.pk: Place("A", "R1", "1")})
    move(miner.site, {miner.pk: Place("A", "R2", "1")})
    assert "Rack: R1 → R2" in texts(miner)


def test_commands_are_shown_to_those_only_who_may_see_them(miner: Miner) -> None:
    make_command(miner)
    assert events(miner, make_staff(sites=(miner.site,), permissions=("miners.view_miner",))) == []


def test_older_events_need_a_longer_time(client: Client, miner: Miner) -> None:
    make_command(miner, created_at=timezone.now() - timedelta(days=3), reason="board swap")
    client.force_login(make_superuser())
    address = reverse("console:miner_timeline", args=[miner.pk])
    shown = {days: "board swap" in client.get(address, {"days": days}).content.decode() for days in ("1", "7", "30")}
    assert shown == {"1": False, "7": True, "30": True}


def test_one_kind_is_shown_alone(client: Client, miner: Miner) -> None:
    make_command(miner, reason="board swap")
    said(miner, {"uptime_seconds": 900}, {"uptime_seconds": 20})
    client.force_login(make_superuser())
    html = client.get(reverse("console:miner_timeline", args=[miner.pk]), {"kind": "state"}).content.decode()
    assert "restarted" in html
    assert "board swap" not in html


@pytest.mark.parametrize("days", ["0", "365", "all"])
def test_timeline_refuses_a_time_it_does_not_know(client: Client, miner: Miner, days: str) -> None:
    client.force_login(make_superuser())
    assert client.get(reverse("console:miner_timeline", args=[miner.pk]), {"days": days}).status_code == 404
