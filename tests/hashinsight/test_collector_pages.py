"""What operators see of collectors: the list, a collector's page, the overview, the site's page and /metrics."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hashinsight.gauges import collect_gauges
from sites.collectors import Event, record_events
from sites.models import Collector, Site
from telemetry.models import TelemetryGap
from tests.makers import make_collector, make_key, make_live, make_miner, make_site, make_staff, make_superuser

pytestmark = pytest.mark.django_db

LIST = "/admin/sites/collector/"


@pytest.fixture
def site() -> Site:
    site = make_site("north", collection=Site.Collection.COLLECTOR)
    make_live(make_miner(site))
    return site


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_superuser())
    return client


def page(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return answer.content.decode()


def ago(**parts: float):
    return timezone.now() - timedelta(**parts)


def make_busy_collector(site: Site) -> Collector:
    """It has been offline for two hours, and works off what it kept."""
    now = timezone.now()
    return make_collector(
        site,
        device_id="edge-7",
        zone_id="B",
        version="0.1.0",
        sent_at=now,
        spool_records=120_000,
        spool_bytes=21_000_000,
        spool_oldest_at=now - timedelta(hours=2),
        clock_offset_ms=3_200,
        poll_duration_ms=5_120,
        miners=1000,
    )


def test_list_tells_how_each_collector_is(operator: Client, site: Site) -> None:
    make_busy_collector(site)
    html = page(operator, LIST)

    for shown in ("B / edge-7", "0.1.0", "120,000", "2 h 0 min", "3 s slow", "5.1"):
        assert shown in html
    assert ">online<" in html.replace("\n", "").replace("  ", "").lower()


@pytest.mark.parametrize(("heard", "names"), [("silent", {"gone"}), ("heard", {"well", "full"}), ("waiting", {"full"}), ("nonsense", None)])
def test_collectors_are_found_by_whether_they_are_heard(operator: Client, site: Site, heard: str, names: set[str] | None) -> None:
    make_collector(site, device_id="well")
    make_collector(site, device_id="full", spool_records=7)
    make_collector(site, device_id="gone", heartbeat_at=ago(hours=1))
    found = {row.device_id for row in operator.get(LIST, {"heard": heard}).context["cl"].result_list}

    assert found == (names or {"well", "full", "gone"})


def test_page_of_a_collector_shows_what_it_did_and_lost(operator: Client, site: Site) -> None:
    collector = make_busy_collector(site)
    key, _ = make_key(site)
    event = Event(event_id=uuid.uuid4(), kind="safety_action", at=timezone.now(), miner_id="A-01-07", message="switched off at 96 °C")
    record_events(key, [event], device_id="edge-7", zone_id="B", now=timezone.now())
    TelemetryGap.objects.create(
        site=site,
        collector=collector,
        started_at=ago(hours=3),
        ended_at=ago(hours=2),
        cause="dropped",
        epoch=1,
        sequence_start=1,
        sequence_end=60_000,
        records=60_000,
    )
    html = page(operator, reverse("admin:sites_collector_change", args=[collector.pk]))

    for shown in ("switched off at 96 °C", "A-01-07", "the collector dropped what it kept", "1 – 60,000", "120,000", "3 s slow"):
        assert shown in html


def test_collector_that_is_gone_for_good_is_no_longer_watched(operator: Client, site: Site) -> None:
    collector = make_collector(site, heartbeat_at=ago(hours=1))
    address = reverse("admin:sites_collector_change", args=[collector.pk])
    assert operator.post(address, {}).status_code == 302

    collector.refresh_from_db()
    assert (collector.is_watched, collector.heartbeat_at is not None) == (False, True)
    assert not Collector.objects.silent(timezone.now()).exists()


def test_collectors_and_events_of_other_sites_are_not_seen(client: Client, site: Site) -> None:
    make_busy_collector(site)
    staff = make_staff(sites=(make_site("south"),))
    staff.groups.add(Group.objects.get(name="viewer"))
    client.force_login(staff)

    assert "edge-7" not in page(client, LIST)
    assert page(client, "/admin/sites/collectorevent/")
    assert page(client, "/admin/telemetry/telemetrygap/")
    assert "edge-7" not in page(client, reverse("admin:index"))


def test_viewer_changes_nothing(client: Client, site: Site) -> None:
    collector = make_busy_collector(site)
    staff = make_staff(sites=(site,))
    staff.groups.add(Group.objects.get(name="viewer"))
    client.force_login(staff)
    address = reverse("admin:sites_collector_change", args=[collector.pk])

    assert "edge-7" in page(client, address)
    assert client.post(address, {}).status_code == 403


def test_overview_and_the_sites_page_show_a_silent_collector(operator: Client, site: Site) -> None:
    make_collector(site, device_id="edge-9", heartbeat_at=ago(minutes=20))

    for address in (reverse("admin:index"), reverse("console:site", args=[site.pk])):
        html = page(operator, address)
        assert "edge-9" in html
        assert "silent" in html


def test_overview_says_how_far_a_collector_is_behind(operator: Client, site: Site) -> None:
    make_busy_collector(site)

    assert "120,000 readings wait, 2 h 0 min behind" in page(operator, reverse("admin:index"))


def test_ledger_names_whose_readings_are_missing(operator: Client, site: Site) -> None:
    collector = make_busy_collector(site)
    TelemetryGap.objects.create(site=site, started_at=ago(hours=3), cause="collector_silent")
    TelemetryGap.objects.create(site=site, miner=site.miners.get(), started_at=ago(hours=3), ended_at=ago(hours=2), cause="miner_offline")
    TelemetryGap.objects.create(site=site, collector=collector, started_at=ago(hours=3), ended_at=ago(hours=2), cause="dropped", records=5)
    html = page(operator, "/admin/telemetry/telemetrygap/")

    for shown in ("the whole site", site.miners.get().miner_id, "B / edge-7"):
        assert shown in html


def test_metrics_have_one_series_a_site_whatever_the_number_of_collectors(site: Site) -> None:
    for number in range(3):
        make_collector(site, heartbeat_at=ago(minutes=number), spool_records=number, spool_bytes=10)
    make_collector(site, heartbeat_at=ago(days=9), is_watched=False, spool_records=1_000)
    samples = {
        sample.name: sample for metric in collect_gauges(now=timezone.now()) for sample in metric.samples if "collector" in sample.name
    }

    assert samples["collector_heartbeat_age_seconds"].value == pytest.approx(120, abs=5)
    assert samples["collector_spool_records"].value == 3
    assert samples["collector_spool_bytes"].value == 30
    assert samples["collectors_silent"].value == 0
    assert samples["collector_spool_records"].labels == {"site_id": "north"}
